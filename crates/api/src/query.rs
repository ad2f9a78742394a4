//! Query parameters, with Go's and Docker's rules.

use crate::error::Error;
use engine::filters::Filters;

/// The decoded query of a request. Names may repeat.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value; none when it was not given or is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.first(name).filter(|value| !value.is_empty())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value, empty when it was not given.
    pub(crate) fn string(&self, name: &str) -> String {
        self.first(name).unwrap_or_default().to_owned()
    }

    /// Every value.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// Docker's booleans (moby `httputils.BoolValue`): empty, `0`, `no`, `false` and `none` are false, all else is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    /// As [`Query::flag`], where an absent parameter means `default`.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> bool {
        self.first(name).map_or(default, |value| {
            !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
        })
    }

    /// A whole number; none when it was not given or is empty.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Error::Number { name, value: text.to_owned() })
    }

    pub(crate) fn filters(&self) -> Result<Filters, Error> {
        Ok(Filters::parse(self.first("filters").unwrap_or_default())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_dockers() {
        let query = Query::parse(Some("a=1&b=True&c=0&d=&e=None&f=FALSE&g=+no+&h=x"));
        let truth: Vec<_> =
            ["a", "b", "c", "d", "e", "f", "g", "h", "absent"].map(|name| query.flag(name)).into();
        assert_eq!(truth, [true, true, false, false, false, false, false, true, false]);
        assert!(query.flag_or("absent", true) && !query.flag_or("d", true));
    }

    #[test]
    fn numbers_that_are_none_name_the_parameter() {
        let query = Query::parse(Some("t=10&limit=abc&empty="));
        assert_eq!(query.number::<i64>("t").unwrap(), Some(10));
        assert_eq!(query.number::<i64>("empty").unwrap(), None);
        let error = query.number::<i64>("limit").unwrap_err();
        assert_eq!(error.to_string(), "invalid value \"abc\" for parameter limit: expected a whole number");
    }

    #[test]
    fn names_repeat_and_are_decoded() {
        let query = Query::parse(Some("names=a%2Fb%3A1&names=c+d"));
        assert_eq!(query.all("names"), ["a/b:1", "c d"]);
    }
}
