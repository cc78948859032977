//! The arguments: `--name value`, each a file unless said otherwise. A build script is the only caller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What kept us from writing the bill.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("usage: sbom --package NAME --target TRIPLE --messages FILE …; wrong: {0}")]
    Usage(String),
    #[error("{attempt} {path}: {source}", path = path.display())]
    File {
        attempt: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{what}: {message}")]
    Document { what: &'static str, message: String },
}

/// The program that is described.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its package.
    pub(crate) package: String,
    /// For which machine it was built.
    pub(crate) target: String,
    /// When it was built, RFC 3339; the same for the same source.
    pub(crate) timestamp: String,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
}

/// Something that is no crate and yet in the image: `purl|licence|files with licence texts, divided by commas`.
#[derive(Debug, PartialEq)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) purl: String,
    pub(crate) licence: String,
    pub(crate) notices: Vec<PathBuf>,
    /// The source package that it was built from, by which a distribution tells of weaknesses: its name and version.
    pub(crate) upstream: Option<(String, String)>,
    /// The distribution that it comes from: its name and version.
    pub(crate) distribution: Option<(String, String)>,
}

/// Arguments by name; one may come several times.
#[derive(Debug)]
pub(crate) struct Inputs(BTreeMap<String, Vec<String>>);

impl Inputs {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Error> {
        let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while let Some(argument) = arguments.next() {
            let (Some(name), Some(value)) = (argument.strip_prefix("--"), arguments.next()) else {
                return Err(Error::Usage(argument));
            };
            named.entry(name.to_owned()).or_default().push(value);
        }
        Ok(Self(named))
    }

    pub(crate) fn text(&self, name: &str) -> Result<&str, Error> {
        match self.0.get(name).map(Vec::as_slice) {
            Some([value]) => Ok(value),
            Some(_) | None => Err(Error::Usage(format!("--{name} is needed once"))),
        }
    }

    pub(crate) fn read(&self, name: &str) -> Result<String, Error> {
        read(Path::new(self.text(name)?))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = PathBuf::from(self.text(name)?);
        std::fs::write(&path, text).map_err(|source| Error::File {
            attempt: "write",
            path,
            source,
        })
    }

    pub(crate) fn program(&self) -> Result<Program, Error> {
        Ok(Program {
            package: self.text("package")?.to_owned(),
            target: self.text("target")?.to_owned(),
            timestamp: self.text("timestamp")?.to_owned(),
            sha256: self.text("sha256")?.to_owned(),
        })
    }

    pub(crate) fn systems(&self) -> Result<Vec<System>, Error> {
        let given = self.0.get("system").map_or(&[][..], Vec::as_slice);
        given.iter().map(|text| System::parse(text)).collect()
    }
}

impl System {
    fn parse(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('|').collect();
        let [purl, licence, notices] = parts[..] else {
            return Err(Error::Usage(format!("--system {text}")));
        };
        let path = purl.split('?').next().unwrap_or(purl);
        let named = path.rsplit_once('/').map_or(path, |(_, last)| last);
        let (name, version) = named.split_once('@').unwrap_or((named, ""));
        if version.is_empty() {
            let missing = format!("--system {text}: a version is needed");
            return Err(Error::Usage(missing));
        }
        Ok(Self {
            name: name.to_owned(),
            version: decoded(version),
            purl: purl.to_owned(),
            licence: licence.to_owned(),
            notices: notices.split(',').map(PathBuf::from).collect(),
            upstream: qualifier(purl, "upstream", '@'),
            distribution: qualifier(purl, "distro", '-'),
        })
    }
}

/// The two parts of a qualifier of a package URL.
fn qualifier(purl: &str, name: &str, divider: char) -> Option<(String, String)> {
    let (_, qualifiers) = purl.split_once('?')?;
    let mut pairs = qualifiers
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let value = decoded(value);
    let (first, second) = value.split_once(divider)?;
    Some((first.to_owned(), second.to_owned()))
}

/// Letters that the build script writes as numbers.
fn decoded(text: &str) -> String {
    let letters = [("%2B", "+"), ("%3A", ":"), ("%7E", "~"), ("%40", "@")];
    let replaced = |text: String, (number, letter): (&str, &str)| text.replace(number, letter);
    letters.into_iter().fold(text.to_owned(), replaced)
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read(path)
        // Licence texts of long ago are not always UTF-8.
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| Error::File {
            attempt: "read",
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_crate_is_named_by_its_package_url() {
        let purl = "pkg:deb/debian/libc6-dev@2.36-9%2Bdeb12u14?arch=amd64&upstream=glibc%402.36-9%2Bdeb12u14&distro=debian-12";
        let system = System::parse(&format!("{purl}|LGPL-2.1-or-later|/c,/d")).unwrap();
        let pair = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(
            (&*system.name, &*system.version),
            ("libc6-dev", "2.36-9+deb12u14")
        );
        assert_eq!(system.upstream, pair("glibc", "2.36-9+deb12u14"));
        assert_eq!(system.distribution, pair("debian", "12"));
        assert_eq!(system.notices, [Path::new("/c"), Path::new("/d")]);
    }

    #[test]
    fn a_package_that_is_not_installed_has_no_version_and_is_refused() {
        assert!(System::parse("pkg:deb/debian/libc6-dev@|LGPL-2.1-or-later|/c").is_err());
    }

    #[test]
    fn an_argument_without_a_value_is_refused() {
        let given = ["--package", "x", "--target"].map(str::to_owned);
        assert!(Inputs::parse(given.into_iter()).is_err());
    }
}
