//! A stretch of network between a client and a server on this machine, which a test cuts, hangs and heals.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::error::{Attempt, Error};
use crate::listening::Listening;

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// The stretch. Ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Cable {
    listening: Listening,
    weather: watch::Sender<Weather>,
}

/// What happens to connections, by their number.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// How many there were so far.
    count: u64,
    /// The first so many are closed, and those that come now are.
    closed: u64,
    refuses: bool,
    /// Nothing goes through the first so many, which stay open.
    hung: u64,
}

impl Weather {
    fn closes(self, number: u64) -> bool {
        self.refuses || number < self.closed
    }

    fn passes(self, number: u64) -> bool {
        number >= self.hung
    }
}

impl Cable {
    /// To a server; everything goes through.
    pub fn to(server: SocketAddr) -> Result<Self, Error> {
        let weather = watch::Sender::new(Weather::default());
        let around = weather.clone();
        let listening = Listening::start("cable", move |listener, stopped| {
            serve(server, listener, stopped, around)
        })?;
        Ok(Self { listening, weather })
    }

    /// To the server of an `http` or `https` URL with an address and a port.
    pub fn to_url(url: &str) -> Result<Self, Error> {
        let address = address_of(url).ok_or_else(|| Error::Document {
            what: format!("the URL {url}"),
            message: "it has no address with a port".to_owned(),
        })?;
        Self::to(address)
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Text that names the server, with this stretch in between.
    #[must_use]
    pub fn instead_of(&self, server: &str, text: &str) -> String {
        match address_of(server) {
            Some(server) => text.replace(&server.to_string(), &self.address().to_string()),
            None => text.to_owned(),
        }
    }

    /// A copy of a kubeconfig file, beside it, that reaches the API server through this stretch.
    pub fn kubeconfig(&self, original: &Path, server: &str) -> Result<PathBuf, Error> {
        let text = std::fs::read_to_string(original);
        let text = text.attempt(format!("read {}", original.display()))?;
        let name = format!("{}.kubeconfig", self.address().port());
        let path = original.with_file_name(name);
        let text = self.instead_of(server, &text);
        // For us alone to read, as the original.
        std::fs::copy(original, &path).attempt(format!("make {}", path.display()))?;
        std::fs::write(&path, text).attempt(format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Connections are closed and refused.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| {
            weather.refuses = true;
            weather.closed = weather.count;
        });
    }

    /// Connections stay open, those that come now, too, and nothing goes through any of them.
    pub fn hang(&self) {
        self.weather.send_modify(|weather| weather.hung = u64::MAX);
    }

    /// The same, but those that come from now on work.
    pub fn hang_present(&self) {
        self.weather
            .send_modify(|weather| weather.hung = weather.count);
    }

    /// Everything goes through again; what hung goes on.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| {
            weather.refuses = false;
            weather.hung = 0;
        });
    }
}

fn address_of(url: &str) -> Option<SocketAddr> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next()?.parse().ok()
}

async fn serve(
    server: SocketAddr,
    listener: TcpListener,
    mut stopped: oneshot::Receiver<()>,
    weather: watch::Sender<Weather>,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            _ = &mut stopped => return Ok(()),
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                let mut number = 0;
                weather.send_modify(|weather| {
                    number = weather.count;
                    weather.count += 1;
                });
                tokio::spawn(connect(near, server, (number, weather.subscribe())));
            }
        }
    }
}

/// A connection, and what happens to it.
type Fate = (u64, watch::Receiver<Weather>);

async fn connect(near: TcpStream, server: SocketAddr, (number, mut weather): Fate) {
    let mut end = weather.clone();
    let passing = async {
        wait_for(&mut weather, |w| w.passes(number)).await;
        let Ok(far) = TcpStream::connect(server).await else {
            return;
        };
        let (from_near, to_near) = near.into_split();
        let (from_far, to_far) = far.into_split();
        tokio::join!(
            relay(from_near, to_far, (number, weather.clone())),
            relay(from_far, to_near, (number, weather.clone())),
        );
    };
    // Both ends are closed by dropping them.
    tokio::select! {
        () = passing => {}
        () = wait_for(&mut end, |w| w.closes(number)) => {}
    }
}

async fn wait_for(weather: &mut watch::Receiver<Weather>, holds: impl Fn(Weather) -> bool) {
    if weather.wait_for(|now| holds(*now)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One direction, until its sender ends it.
async fn relay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, (number, mut weather): Fate) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        wait_for(&mut weather, |w| w.passes(number)).await;
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
    // The other side learns of it, unless nothing goes through.
    wait_for(&mut weather, |w| w.passes(number)).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const A_WHILE: Duration = Duration::from_millis(200);

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream, word: &[u8; 4]) -> std::io::Result<bool> {
        stream.write_all(word).await?;
        hears(stream, word).await
    }

    async fn hears(stream: &mut TcpStream, word: &[u8; 4]) -> std::io::Result<bool> {
        let mut heard = [0; 4];
        match timeout(A_WHILE, stream.read_exact(&mut heard)).await {
            Ok(read) => read.map(|_| heard == *word),
            Err(_) => Ok(false),
        }
    }

    #[tokio::test]
    async fn what_hangs_goes_on_when_it_is_healed_and_what_was_cut_does_not() {
        let cable = Cable::to(echo().await).unwrap();
        let mut stream = TcpStream::connect(cable.address()).await.unwrap();
        assert!(says(&mut stream, b"one ").await.unwrap());
        cable.hang();
        assert!(!says(&mut stream, b"two ").await.unwrap());
        let mut another = TcpStream::connect(cable.address()).await.unwrap();
        assert!(!says(&mut another, b"new ").await.unwrap());
        cable.heal();
        let heard = timeout(SOON, async {
            while !hears(&mut stream, b"two ").await.unwrap() {}
        });
        heard.await.unwrap();

        cable.hang_present();
        assert!(!says(&mut stream, b"old ").await.unwrap());
        let mut another = TcpStream::connect(cable.address()).await.unwrap();
        assert!(says(&mut another, b"new ").await.unwrap());

        cable.cut();
        let mut byte = [0; 1];
        let end = timeout(SOON, another.read(&mut byte)).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        cable.heal();
        assert!(!says(&mut another, b"gone").await.unwrap_or(false));
        let mut another = TcpStream::connect(cable.address()).await.unwrap();
        assert!(says(&mut another, b"new ").await.unwrap());
    }
}
