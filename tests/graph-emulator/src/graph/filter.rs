//! The part of `$filter` that finds users: comparisons of addresses and names, joined by `or` and `and`.
//!
//! Other functions and properties that Graph knows are not imitated. Those that belong to advanced queries
//! are refused, as Graph does, unless the caller asks for an advanced query.

use super::error::{Refusal, error, not_imitated};
use crate::state::directory::{Account, TenantIndex, proxy_key};

/// A condition on a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Any(Vec<Filter>),
    All(Vec<Filter>),
    Equals(Property, String),
    StartsWith(Property, String),
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    ProxyAddress,
    Mail,
    PrincipalName,
    Id,
    DisplayName,
}

/// Which queries a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queries {
    Simple,
    /// With `ConsistencyLevel: eventual` and `$count=true`.
    Advanced,
}

impl Filter {
    /// Reads a filter.
    pub(crate) fn parse(text: &str, queries: Queries) -> Result<Self, Refusal> {
        let mut reader = Reader {
            tokens: tokens(text)?,
            position: 0,
            depth: 0,
            queries,
        };
        let filter = reader.alternatives()?;
        match reader.peek() {
            None => Ok(filter),
            Some(_) => Err(malformed()),
        }
    }

    /// The first text that it compares with, to say whom a call was about.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().find_map(Self::subject),
            Self::Equals(_, text) | Self::StartsWith(_, text) => Some(text),
        }
    }

    /// The users that match, in the order of the directory, without looking at all of them if possible.
    pub(crate) fn select<'a>(&self, tenant: &'a TenantIndex) -> Vec<&'a Account> {
        let Some(mut found) = self.by_index(tenant) else {
            return tenant
                .mailboxes
                .iter()
                .filter(|one| self.matches(one))
                .collect();
        };
        found.dedup_by_key(|account| account.id.clone());
        let mut unique: Vec<&Account> = Vec::new();
        for account in found {
            if !unique.iter().any(|known| known.id == account.id) {
                unique.push(account);
            }
        }
        unique
    }

    fn by_index<'a>(&self, tenant: &'a TenantIndex) -> Option<Vec<&'a Account>> {
        match self {
            Self::Any(parts) => {
                let found: Option<Vec<_>> = parts.iter().map(|one| one.by_index(tenant)).collect();
                Some(found?.into_iter().flatten().collect())
            }
            Self::Equals(Property::ProxyAddress, text) => {
                Some(tenant.by_proxy_address(text).into_iter().collect())
            }
            Self::Equals(Property::Mail, text) => {
                Some(tenant.by_primary_address(text).into_iter().collect())
            }
            Self::Equals(Property::PrincipalName | Property::Id, text) => {
                let found = tenant.user(text).filter(|account| self.matches(account));
                Some(found.into_iter().collect())
            }
            Self::All(_) | Self::Equals(Property::DisplayName, _) | Self::StartsWith(..) => None,
        }
    }

    fn matches(&self, account: &Account) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.matches(account)),
            Self::All(parts) => parts.iter().all(|part| part.matches(account)),
            Self::Equals(property, text) => {
                let text = property.key(text);
                property.values(account).contains(&text)
            }
            Self::StartsWith(property, text) => {
                let text = property.key(text);
                property
                    .values(account)
                    .iter()
                    .any(|value| value.starts_with(&text))
            }
        }
    }
}

impl Property {
    fn named(name: &str) -> Result<Self, Refusal> {
        match name.to_lowercase().as_str() {
            "mail" => Ok(Self::Mail),
            "userprincipalname" => Ok(Self::PrincipalName),
            "id" => Ok(Self::Id),
            "displayname" => Ok(Self::DisplayName),
            _ => Err(not_imitated(format!("property {name} in $filter"))),
        }
    }

    fn key(self, text: &str) -> String {
        match self {
            Self::ProxyAddress => proxy_key(text),
            Self::Mail | Self::PrincipalName | Self::Id | Self::DisplayName => text.to_lowercase(),
        }
    }

    fn values(self, account: &Account) -> Vec<String> {
        let plain = match self {
            Self::ProxyAddress => {
                return account
                    .proxy_addresses
                    .iter()
                    .map(|one| proxy_key(one))
                    .collect();
            }
            Self::Mail => &account.spec.address,
            Self::PrincipalName => &account.principal_name,
            Self::Id => &account.id,
            Self::DisplayName => &account.display_name,
        };
        vec![plain.to_lowercase()]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn malformed() -> Refusal {
    error(400, "Request_BadRequest", "Invalid filter clause.").into()
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            ' ' => {}
            '(' | ')' | ':' | ',' | '/' => tokens.push(Token::Sign(next)),
            '\'' => {
                let mut literal = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            literal.push('\'');
                        }
                        Some('\'') => break,
                        Some(other) => literal.push(other),
                        None => return Err(malformed()),
                    }
                }
                tokens.push(Token::Text(literal));
            }
            other => {
                let mut word = other.to_string();
                while let Some(&more) = rest.peek() {
                    if " ():,/'".contains(more) {
                        break;
                    }
                    word.push(more);
                    rest.next();
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    position: usize,
    /// Parentheses that are open.
    depth: usize,
    queries: Queries,
}

/// More parentheses within each other than anybody writes, and fewer than the stack has room for.
const DEEPEST: usize = 100;

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).cloned();
        self.position += 1;
        token
    }

    fn word(&mut self) -> Result<String, Refusal> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            Some(Token::Text(_) | Token::Sign(_)) | None => Err(malformed()),
        }
    }

    fn text(&mut self) -> Result<String, Refusal> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            Some(Token::Word(_) | Token::Sign(_)) | None => Err(malformed()),
        }
    }

    fn sign(&mut self, sign: char) -> Result<(), Refusal> {
        if self.next() == Some(Token::Sign(sign)) {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        if found {
            self.position += 1;
        }
        found
    }

    fn alternatives(&mut self) -> Result<Filter, Refusal> {
        let mut parts = vec![self.conjunction()?];
        while self.takes("or") {
            parts.push(self.conjunction()?);
        }
        Ok(single(parts, Filter::Any))
    }

    fn conjunction(&mut self) -> Result<Filter, Refusal> {
        let mut parts = vec![self.comparison()?];
        while self.takes("and") {
            parts.push(self.comparison()?);
        }
        Ok(single(parts, Filter::All))
    }

    /// The refusal of something that only advanced queries have.
    fn advanced(&self, what: &str) -> Refusal {
        match self.queries {
            Queries::Simple => {
                let message = format!("Unsupported or invalid query filter clause: '{what}'.");
                error(400, "Request_UnsupportedQuery", message).into()
            }
            Queries::Advanced => not_imitated(format!("{what} in $filter")),
        }
    }

    fn operator(&self, name: &str) -> Refusal {
        match name {
            "ne" => self.advanced(name),
            "eq" | "ge" | "gt" | "has" | "in" | "le" | "lt" => {
                not_imitated(format!("operator {name} in $filter"))
            }
            _ => malformed(),
        }
    }

    fn comparison(&mut self) -> Result<Filter, Refusal> {
        if self.takes("not") {
            return Err(self.advanced("not"));
        }
        if self.peek() == Some(&Token::Sign('(')) {
            self.position += 1;
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(malformed());
            }
            let inner = self.alternatives()?;
            self.sign(')')?;
            self.depth -= 1;
            return Ok(inner);
        }
        let name = self.word()?;
        match (name.to_lowercase().as_str(), self.peek()) {
            ("startswith", Some(Token::Sign('('))) => {
                self.sign('(')?;
                let property = Property::named(&self.word()?)?;
                self.sign(',')?;
                let text = self.text()?;
                self.sign(')')?;
                Ok(Filter::StartsWith(property, text))
            }
            ("proxyaddresses", Some(Token::Sign('/'))) => self.any_proxy_address(),
            ("endswith", Some(Token::Sign('('))) => Err(self.advanced("endsWith")),
            (_, Some(Token::Sign('('))) => Err(not_imitated(format!("{name}() in $filter"))),
            _ => {
                let property = Property::named(&name)?;
                match self.word()?.as_str() {
                    "eq" => Ok(Filter::Equals(property, self.text()?)),
                    other => Err(self.operator(other)),
                }
            }
        }
    }

    /// `proxyAddresses/any(p:p eq 'smtp:…')` or `…/any(p:startswith(p,'…'))`, after its name.
    fn any_proxy_address(&mut self) -> Result<Filter, Refusal> {
        self.sign('/')?;
        if self.word()? != "any" {
            return Err(not_imitated(
                "a function other than any() on proxyAddresses",
            ));
        }
        self.sign('(')?;
        let variable = self.word()?;
        self.sign(':')?;
        let start = self.word()?;
        let filter = if start.eq_ignore_ascii_case("startswith") {
            self.sign('(')?;
            self.variable(&variable)?;
            self.sign(',')?;
            let text = self.text()?;
            self.sign(')')?;
            Filter::StartsWith(Property::ProxyAddress, text)
        } else if start.eq_ignore_ascii_case("endswith") {
            return Err(self.advanced("endsWith"));
        } else if start == variable {
            match self.word()?.as_str() {
                "eq" => Filter::Equals(Property::ProxyAddress, self.text()?),
                other => return Err(self.operator(other)),
            }
        } else {
            return Err(malformed());
        };
        self.sign(')')?;
        Ok(filter)
    }

    fn variable(&mut self, name: &str) -> Result<(), Refusal> {
        if self.word()? == name {
            Ok(())
        } else {
            Err(malformed())
        }
    }
}

fn single(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        join(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_alternatives_joined() {
        let filter = Filter::parse(
            "proxyAddresses/any(p:p eq 'smtp:o''brien@contoso.example') or mail eq 'x@y.example'",
            Queries::Simple,
        )
        .unwrap();
        let expected = Filter::Any(vec![
            Filter::Equals(
                Property::ProxyAddress,
                "smtp:o'brien@contoso.example".into(),
            ),
            Filter::Equals(Property::Mail, "x@y.example".into()),
        ]);
        assert_eq!(filter, expected);
    }

    #[test]
    fn nonsense_is_refused_and_the_unknown_is_not_imitated() {
        for text in [
            "",
            "mail eq",
            "mail eq 'x",
            "proxyAddresses/any(p:q eq 'x')",
            "(mail eq 'x'",
        ] {
            assert!(
                matches!(
                    Filter::parse(text, Queries::Advanced),
                    Err(Refusal::Graph(_))
                ),
                "{text}"
            );
        }
        for text in ["city eq 'Kiel'", "mail ne 'x'", "endsWith(mail,'x')"] {
            assert!(
                matches!(
                    Filter::parse(text, Queries::Advanced),
                    Err(Refusal::NotImitated(_))
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn what_advanced_queries_have_is_refused_without_them() {
        for text in [
            "mail ne 'x'",
            "not (mail eq 'x')",
            "endsWith(mail,'x')",
            "proxyAddresses/any(p:endsWith(p,'x'))",
        ] {
            let Err(Refusal::Graph(refused)) = Filter::parse(text, Queries::Simple) else {
                panic!("{text}");
            };
            assert_eq!(
                (refused.status, refused.code.as_str()),
                (400, "Request_UnsupportedQuery")
            );
        }
    }
}
