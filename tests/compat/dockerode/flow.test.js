'use strict';
// What programs do with dockerode: run with output, streams in both directions, logs that follow, exec, archives, events.
const assert = require('node:assert');
const { PassThrough } = require('node:stream');
const test = require('node:test');
const Docker = require('dockerode');

const docker = new Docker();
const labels = { flow: 'dockerode' };

const collected = (stream) => new Promise((resolve, reject) => {
  const chunks = [];
  stream.on('data', (chunk) => chunks.push(chunk));
  stream.on('end', () => resolve(Buffer.concat(chunks).toString()));
  stream.on('error', reject);
});

// The two streams of a multiplexed one, whole.
const demultiplexed = async (stream) => {
  const [out, err] = [new PassThrough(), new PassThrough()];
  docker.modem.demuxStream(stream, out, err);
  stream.on('end', () => { out.end(); err.end(); });
  return Promise.all([collected(out), collected(err)]);
};

test('run tells the streams apart and the exit code', async () => {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([collected(out), collected(err)]);
  const [data, container] = await docker.run('busybox', ['sh', '-c', 'echo out; echo err >&2; exit 3'], [out, err], { Tty: false, Labels: labels });
  out.end(); err.end();
  assert.deepStrictEqual(await texts, ['out\n', 'err\n']);
  assert.strictEqual(data.StatusCode, 3);
  await container.remove();
});

test('attach writes to stdin and reads until the end', async () => {
  const container = await docker.createContainer({ Image: 'busybox', Cmd: ['cat'], OpenStdin: true, StdinOnce: true, Labels: labels });
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const texts = demultiplexed(stream);
  await container.start();
  stream.write('typed\n');
  stream.end();
  assert.deepStrictEqual(await texts, ['typed\n', '']);
  assert.strictEqual((await container.wait()).StatusCode, 0);
  await container.remove();
});

test('logs that follow end with the container', async () => {
  const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sh', '-c', 'for i in 1 2 3; do echo $i; sleep 0.1; done'], Labels: labels });
  await container.start();
  const logs = await container.logs({ follow: true, stdout: true, stderr: true });
  assert.deepStrictEqual(await demultiplexed(logs), ['1\n2\n3\n', '']);
  await container.remove({ force: true });
});

test('exec, archives, stats, events and removal of a running container', async () => {
  const events = await docker.getEvents({ filters: { label: ['flow=events'] } });
  const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '60'], Labels: { flow: 'events' } });
  await container.start();

  const exec = await container.exec({ Cmd: ['sh', '-c', 'echo $A; exit 5'], Env: ['A=b'], AttachStdout: true, AttachStderr: true });
  assert.deepStrictEqual(await demultiplexed(await exec.start({ hijack: true, stdin: false })), ['b\n', '']);
  assert.strictEqual((await exec.inspect()).ExitCode, 5);

  const archive = await collected(await container.getArchive({ path: '/etc/hostname' }));
  await container.putArchive(Buffer.from(archive, 'latin1'), { path: '/tmp' });
  const copied = await container.exec({ Cmd: ['cmp', '/etc/hostname', '/tmp/hostname'], AttachStdout: true, AttachStderr: true });
  await demultiplexed(await copied.start({ hijack: true, stdin: false }));
  assert.strictEqual((await copied.inspect()).ExitCode, 0);

  const stats = await container.stats({ stream: false });
  assert.strictEqual(stats.id, container.id);
  await container.remove({ force: true });

  const seen = [];
  let rest = '';
  for await (const chunk of events) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    seen.push(...lines.filter(Boolean).map((line) => JSON.parse(line).Action.split(':')[0]));
    if (seen.includes('destroy')) break;
  }
  assert.deepStrictEqual(seen.filter((action) => /^(create|start|kill|die|destroy)$/.test(action)), ['create', 'start', 'kill', 'die', 'destroy']);
});

test('networks and volumes', async () => {
  const network = await docker.createNetwork({ Name: 'dockerode', Labels: labels });
  const volume = await docker.createVolume({ Name: 'dockerode', Labels: labels });
  assert.strictEqual((await network.inspect()).Driver, 'bridge');
  assert.strictEqual((await volume.inspect()).Driver, 'local');
  assert.strictEqual((await docker.listVolumes({ filters: { label: ['flow=dockerode'] } })).Volumes.length, 1);
  await assert.rejects(docker.getVolume('none').inspect(), { statusCode: 404 });
  await volume.remove();
  await network.remove();
});
