//! Lists that come in pages.

use super::Endpoint;
use reqwest::header;

/// The next page of a list (RFC 8288), on the same registry.
pub(super) fn next(endpoint: &Endpoint, headers: &header::HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let (target, parameters) = link.split_once(';')?;
    if !parameters.contains("rel=\"next\"") && !parameters.contains("rel=next") {
        return None;
    }
    let target = target.trim().strip_prefix('<')?.strip_suffix('>')?;
    let next = endpoint.base.join(target).ok()?;
    (next.origin() == endpoint.base.origin()).then(|| next.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_on_the_same_registry() {
        let base = "http://127.0.0.1:5000/".parse().unwrap();
        let endpoint = Endpoint { base, is_mirror: false, insecure: true };
        let found = |link: &str| {
            let mut headers = header::HeaderMap::new();
            headers.insert(header::LINK, link.parse().unwrap());
            next(&endpoint, &headers)
        };
        assert_eq!(
            found(r#"</v2/a/tags/list?last=x&n=1>; rel="next""#).as_deref(),
            Some("http://127.0.0.1:5000/v2/a/tags/list?last=x&n=1")
        );
        assert_eq!(found(r#"<http://elsewhere/v2/>; rel="next""#), None);
        assert_eq!(found(r#"</v2/>; rel="prev""#), None);
    }
}
