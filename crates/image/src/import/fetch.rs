//! `docker import URL`: the archive comes from a web server.

use super::{ImportRequest, Imported};
use crate::{
    Error, ImageStore, Message, Progress, Result,
    registry::{self, Endpoint},
};
use futures_util::TryStreamExt;
use std::{
    io,
    time::{Duration, Instant},
};
use tokio_util::io::StreamReader;
use url::Url;

const REPORT_EVERY: Duration = Duration::from_millis(100);

impl ImageStore {
    /// As [`ImageStore::import`], of what `source` serves: an URL, or one without its `http://`.
    ///
    /// # Errors
    /// [`Error::SourceUrl`], or what the server says.
    pub async fn import_from(
        &self,
        source: &str,
        request: ImportRequest,
        progress: Progress,
    ) -> Result<Imported> {
        let url = parse(source)?;
        progress.send(Message::status(format!("Downloading from {url}")));
        let registries = self.inner.registries();
        // Only for its certificates and proxies: a web server is nobody's insecure registry.
        let endpoint = Endpoint { base: url.clone(), is_mirror: false, insecure: false };
        let client = registries.clients.get(&registries.config, &endpoint)?;
        let failed = |e| registry::transport("Get", url.as_str(), &e);
        let response = client.get(url.clone()).send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            let (method, url, detail) = ("Get", url.to_string(), String::new());
            let status = status.to_string();
            return Err(registry::Error::Status { method, url, status, detail, retry_after: None }.into());
        }
        let total = response.content_length().unwrap_or_default();
        let (sink, mut done, mut told) = (progress.clone(), 0, Instant::now());
        let counted = response.bytes_stream().map_err(io::Error::other).inspect_ok(move |bytes| {
            done += bytes.len() as u64;
            if done == total || told.elapsed() >= REPORT_EVERY {
                told = Instant::now();
                sink.send(Message::progress("Importing", done, total));
            }
        });
        self.import(StreamReader::new(counted), request, progress).await
    }
}

fn parse(source: &str) -> Result<Url> {
    let text = if source.contains("://") { source.to_owned() } else { format!("http://{source}") };
    let invalid = |reason: String| Error::SourceUrl { source_url: source.to_owned(), reason };
    let url = Url::parse(&text).map_err(|e| invalid(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(invalid("only http and https are fetched".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_web_address() {
        assert_eq!(parse("example.com/a.tar").unwrap().as_str(), "http://example.com/a.tar");
        for bad in ["file:///etc/passwd", "ftp://x/y", "http://"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
