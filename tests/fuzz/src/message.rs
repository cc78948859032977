//! Messages of HTTP as corpus files spell them: a first line, headers, an empty line, a body.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A request or an answer.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The first line, such as `POST /v1.0/subscriptions` or `404`.
    pub first: String,
    /// What is sent with it; names and values that HTTP does not know are left out.
    pub headers: HeaderMap,
    /// All that follows the first empty line.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads whatever it is.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Self {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&bytes[..end], &bytes[end + 2..]),
            None => (bytes, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default());
        let headers = lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            Some((name, value))
        });
        Self {
            headers: headers.collect(),
            first: first.into_owned(),
            body,
        }
    }

    /// The words of the first line.
    #[must_use]
    pub fn words(&self) -> (&str, &str) {
        let line = self.first.trim();
        line.split_once(' ').unwrap_or((line, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_first_line_headers_and_a_body() {
        let message = Message::read(b"404\nRequest-Id: 1\nbad header\n\n{}\n\n");
        assert_eq!(message.words(), ("404", ""));
        assert_eq!(message.headers["request-id"], "1");
        assert_eq!((message.headers.len(), message.body), (1, &b"{}\n\n"[..]));
    }
}
