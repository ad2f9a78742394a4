//! Servers of each kind, and what they get.

use logs::{Config, Entry, Identity, Sink, Stream};
use model::Timestamp;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;

fn sink(options: &[(&str, &str)]) -> Sink {
    let options: BTreeMap<_, _> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let config = Config::parse("syslog", &options).unwrap();
    let identity = Identity { id: "0123".into(), tag: "web".into(), ..Identity::default() };
    Sink::open(&config, Path::new("unused"), identity).unwrap().unwrap()
}

fn entry(line: &str) -> Entry {
    Entry { stream: Stream::Stdout, at: Timestamp::now(), line: line.into() }
}

/// The text after the tag.
fn text(message: &str) -> &str {
    message.split_once("]: ").unwrap().1
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

#[test]
fn datagrams_arrive_one_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut buffer = [0; 200];
    let mut to_unix = sink(&[("syslog-address", &format!("unixgram://{}", path.display()))]);
    to_unix.deliver(&entry("one\n")).unwrap();
    let n = unix.recv(&mut buffer).unwrap();
    assert_eq!(text(std::str::from_utf8(&buffer[..n]).unwrap()), "one\n");
    let address = format!("udp://{}", udp.local_addr().unwrap());
    let mut to_udp = sink(&[("syslog-address", &address), ("syslog-facility", "local7")]);
    to_udp.deliver(&entry("two\n")).unwrap();
    let n = udp.recv(&mut buffer).unwrap();
    let message = std::str::from_utf8(&buffer[..n]).unwrap();
    assert!(message.starts_with("<190>") && text(message) == "two\n", "{message}");
}

#[test]
fn a_server_that_went_away_is_found_again_and_gets_what_it_had_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut sink = sink(&[("syslog-address", &format!("tcp://{address}"))]);
    sink.deliver(&entry("one\n")).unwrap();
    let mut server = BufReader::new(listener.accept().unwrap().0);
    assert_eq!(text(&line(&mut server)), "one\n");
    // Its farewell is there before the next entry, which therefore goes nowhere but to the next server.
    drop((server, listener));
    let error = sink.deliver(&entry("two\n")).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("cannot connect to syslog server tcp://{address}: ")),
        "{error}"
    );
    assert!(Sink::is_worth_retrying(&error));
    let listener = TcpListener::bind(address).unwrap();
    sink.deliver(&entry("two\n")).unwrap();
    let mut server = BufReader::new(listener.accept().unwrap().0);
    assert_eq!(text(&line(&mut server)), "two\n");
}

#[test]
fn a_unix_stream_carries_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let listener = UnixListener::bind(&path).unwrap();
    let mut sink =
        sink(&[("syslog-address", &format!("unix://{}", path.display())), ("syslog-format", "rfc5424")]);
    sink.check().unwrap();
    for text in ["one\n", "two\n"] {
        sink.deliver(&entry(text)).unwrap();
    }
    let mut server = BufReader::new(listener.accept().unwrap().0);
    for text in ["one\n", "two\n"] {
        let message = line(&mut server);
        assert!(message.starts_with("<30>1 ") && message.ends_with(&format!(" web - {text}")), "{message}");
    }
}

/// A certificate for 127.0.0.1 that signs itself, and its key.
struct Certificate {
    dir: tempfile::TempDir,
    config: Arc<rustls::ServerConfig>,
}

impl Certificate {
    /// A server that lets in whoever comes, or only who shows this certificate.
    fn new(closed: bool) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match closed {
            true => builder.with_client_cert_verifier(verifier.build().unwrap()),
            false => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        Self { dir, config: Arc::new(config) }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// All that one client sends until it leaves.
    fn serve(&self, socket: TcpStream) -> String {
        let server = rustls::ServerConnection::new(self.config.clone()).unwrap();
        let mut text = String::new();
        // A client that does not like the certificate, or leaves without a word, is an error of the last read.
        let outcome = rustls::StreamOwned::new(server, socket).read_to_string(&mut text);
        match outcome {
            Ok(_) => text,
            Err(error) => format!("{text}({:?})", error.kind()),
        }
    }
}

#[test]
fn over_tls_only_a_trusted_server_is_told_anything() {
    let certificate = Certificate::new(false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp+tls://{}", listener.local_addr().unwrap());
    let trusted = certificate.path("ca.pem");
    let server = std::thread::spawn(move || {
        let serve = |_| certificate.serve(listener.accept().unwrap().0);
        (0..3).map(serve).collect::<Vec<_>>()
    });
    let base = [("syslog-address", address.as_str()), ("syslog-format", "rfc5424")];
    let refused = sink(&base).check().unwrap_err().to_string();
    assert!(refused.contains("cannot connect to syslog server tcp+tls://"), "{refused}");
    for option in [("syslog-tls-ca-cert", trusted.as_str()), ("syslog-tls-skip-verify", "true")] {
        let mut sink = sink(&[base[0], base[1], option]);
        sink.check().unwrap();
        sink.deliver(&entry("secret\n")).unwrap();
    }
    let seen = server.join().unwrap();
    assert!(!seen[0].contains("secret"), "{seen:?}");
    for message in &seen[1..] {
        let (length, rest) = message.split_once(' ').unwrap();
        let length: usize = length.parse().unwrap();
        assert!(rest[..length].ends_with(" web - secret\n"), "{seen:?}");
    }
}

#[test]
fn a_server_that_wants_a_certificate_is_shown_it() {
    let certificate = Certificate::new(true);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp+tls://{}", listener.local_addr().unwrap());
    let (ca, key) = (certificate.path("ca.pem"), certificate.path("key.pem"));
    let server = std::thread::spawn(move || {
        let serve = |_| certificate.serve(listener.accept().unwrap().0);
        (0..2).map(serve).collect::<Vec<_>>()
    });
    let options =
        [("syslog-address", address.as_str()), ("syslog-format", "rfc5424"), ("syslog-tls-ca-cert", &ca)];
    // In TLS 1.3 the client learns of its refusal after the handshake.
    let mut stranger = sink(&options);
    drop(stranger.check());
    drop(stranger);
    let own = [("syslog-tls-cert", ca.as_str()), ("syslog-tls-key", key.as_str())];
    let mut known = sink(&[&options[..], &own].concat());
    known.check().unwrap();
    known.deliver(&entry("known\n")).unwrap();
    drop(known);
    let seen = server.join().unwrap();
    assert_eq!(seen[0], "(InvalidData)", "{seen:?}");
    assert!(seen[1].contains(" web - known\n"), "{seen:?}");
}
