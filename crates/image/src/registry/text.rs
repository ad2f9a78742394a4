//! Failures of the transport in the words Go's net/http has for them, which users of Docker know and search for.

use super::Error;
use archive::error::errno_text;
use std::{error::Error as StdError, io};
use url::Url;

/// An error and all its sources in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    for source in sources(error).skip(1) {
        let source = source.to_string();
        if !text.contains(&source) {
            text = format!("{text}: {source}");
        }
    }
    text
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn StdError + 'static)| (*e).source())
}

/// A request that got no answer.
pub(crate) fn transport(method: &'static str, url: &str, error: &reqwest::Error) -> Error {
    if error.is_redirect() {
        // What reqwest allows, and Go.
        let reason = "stopped after 10 redirects".to_owned();
        return Error::Redirect { method, url: url.to_owned(), reason };
    }
    let mut reason = reason(url, error);
    if url.starts_with("https:") && ended_early(error) {
        reason += " right after the TLS handshake, as by a registry that does not accept the client's certificate \
                   (client.cert and client.key in certs.d)";
    }
    Error::Transport { method, url: url.to_owned(), reason }
}

/// Whether the connection ended before the request was sent. With TLS 1.3 the handshake is over for us before the server
/// has seen our certificate, so its refusal may come just then; what it says is on the connection that is lost.
pub(crate) fn ended_early(error: &reqwest::Error) -> bool {
    // hyper's and h2's texts, which reqwest gives no names to.
    let deepest = sources(error).last().map(ToString::to_string).unwrap_or_default();
    let texts = ["connection was not ready", "connection closed", "channel closed", "broken pipe"];
    texts.iter().any(|text| deepest.ends_with(text))
}

fn reason(url: &str, error: &reqwest::Error) -> String {
    let address = Url::parse(url).ok().and_then(|u| {
        let host = u.host_str()?.replace("localhost", "127.0.0.1");
        Some((host, u.port_or_known_default()?))
    });
    let (host, port) = address.unwrap_or_default();
    if let Some(tls) = find::<rustls::Error>(error) {
        return tls_reason(&host, tls);
    }
    if error.is_connect() {
        if error.is_timeout() {
            return format!("dial tcp {host}:{port}: i/o timeout");
        }
        if let Some(refused) = find::<io::Error>(error).filter(|e| e.raw_os_error().is_some()) {
            return format!("dial tcp {host}:{port}: connect: {}", errno_text(refused));
        }
        if chain(error).contains("dns error") {
            return format!("dial tcp: lookup {host}: no such host");
        }
    }
    if error.is_timeout() {
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned();
    }
    // reqwest repeats the URL, which the message has already; the deepest cause says what happened.
    let deepest = sources(error).last().map(ToString::to_string).unwrap_or_default();
    // With TLS 1.3 a server refuses a client's certificate after the handshake: then it is the first answer that fails.
    match deepest.strip_prefix("received fatal alert: ") {
        Some(alert) => remote_alert(alert),
        None => deepest,
    }
}

/// Go's words for an alert (`BadCertificate`).
fn remote_alert(alert: &str) -> String {
    let mut words = String::from("remote error: tls:");
    for letter in alert.chars() {
        if letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// The deepest source of type `T`; io::Error hides errors inside itself.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    sources(error)
        .filter_map(|e| {
            let inner = e.downcast_ref::<io::Error>().and_then(|io| io.get_ref());
            e.downcast_ref::<T>().or_else(|| inner.and_then(|i| find(i as &(dyn StdError + 'static))))
        })
        .last()
}

fn tls_reason(host: &str, error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    match error {
        rustls::Error::InvalidMessage(_) => "http: server gave HTTP response to HTTPS client".to_owned(),
        rustls::Error::InvalidCertificate(bad) => {
            let reason = match bad {
                Bad::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
                Bad::Expired
                | Bad::ExpiredContext { .. }
                | Bad::NotValidYet
                | Bad::NotValidYetContext { .. } => "certificate has expired or is not yet valid".to_owned(),
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                    format!("certificate is not valid for {host}")
                }
                other => other.to_string(),
            };
            format!("tls: failed to verify certificate: x509: {reason}")
        }
        rustls::Error::AlertReceived(alert) => remote_alert(&format!("{alert:?}")),
        other => format!("remote error: tls: {other}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn alerts_are_told_in_gos_words() {
        assert_eq!(super::remote_alert("CertificateRequired"), "remote error: tls: certificate required");
    }
}
