//! Listens, takes connections, and stops without dropping anyone in mid-sentence.
//!
//! ```text
//! shutdown -> no new connections, idle ones closed -> turns in flight end -> event streams get the last and end -> done
//! ```

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::Request, http::HeaderName};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::Sleep,
};

use super::{
    App,
    auth::Key,
    extract::Peer,
    health,
    limits::{Buckets, Place, Places, limited},
    router,
};
use crate::{
    config::Settings,
    error::{Error, Result},
    turn::Bot,
};

/// How long a client may take to send the head of a request; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client may take no bytes at all while some wait for it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connections get to end by themselves after the last turn.
const GOODBYE: Duration = Duration::from_secs(2);

/// Tries to sign in that one address has per minute.
const LOGINS_PER_MINUTE: u32 = 10;

/// Serves until `shutdown`, then lets turns in flight end (`server.stop_after_s` at most), and event streams with them.
///
/// `settings.server.agent_token` must be set for the desk to open: see [`new_token`](super::new_token).
///
/// # Errors
/// When the settings or the metrics cannot be used. Single connections that fail are not errors.
pub async fn serve(
    bot: Bot,
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let stop_after = Duration::from_secs(settings.server.stop_after_s);
    let (end, ending) = watch::channel(false);
    let app = app(bot, settings, ending)?;
    let places = Arc::new(Semaphore::new(app.settings.server.connections_limit));
    let of_client = Places::new(app.settings.server.connections_per_address);
    let (stop, stopping) = watch::channel(false);
    let router = router(app.clone());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let next = async {
            // A place first: who finds none waits in the system's queue, not in our memory.
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, place) = next => match (accepted, place) {
                (Ok((stream, peer)), Ok(place)) => {
                    // Behind a proxy every client has the proxy's address.
                    let client = limited(peer.ip()).filter(|_| app.proxy_header.is_none());
                    let Some(own) = of_client.take(client) else {
                        tracing::debug!("a client holds as many connections as it may; one more was closed");
                        continue;
                    };
                    connections.spawn(connection(stream, peer, router.clone(), stopping.clone(), (place, own)));
                }
                (Err(error), _) => {
                    // Mostly too many open files: one moment, and others have closed theirs.
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                (_, Err(_)) => return Err(Error::Stopped("the list of connections")),
            },
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let deadline = Instant::now() + stop_after;
    while app.bot.turns_under_way() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = app.bot.turns_under_way();
    if left > 0 {
        tracing::warn!(turns = left, "stopping before these turns have ended; they go on at the next start");
    }
    let _ = end.send(true);
    let goodbye = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
        connections.abort_all();
    }
    Ok(())
}

fn app(bot: Bot, settings: Settings, ending: watch::Receiver<bool>) -> Result<Arc<App>> {
    let server = &settings.server;
    let proxy_header = match server.proxy_header.as_str() {
        "" => None,
        name => Some(HeaderName::try_from(name).map_err(|_| {
            let fault =
                format!("  server.proxy_header: found `{name}`, expected the name of a header such as x-forwarded-for");
            Error::Settings(vec![fault])
        })?),
    };
    Ok(Arc::new(App {
        key: Key::new(&server.agent_token),
        messages: Buckets::new(server.messages_per_minute),
        logins: Buckets::new(LOGINS_PER_MINUTE),
        proxy_header,
        // A page needs connections besides its stream: the streams must leave room for them.
        streams: Arc::new(Semaphore::new((server.connections_limit * 9 / 10).max(1))),
        metrics: health::recorder()?,
        last_ready: health::LastReady::default(),
        ending,
        bot,
        settings,
    }))
}

/// One connection, until it ends or is told to stop after the request at hand.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    _places: (OwnedSemaphorePermit, Place),
) {
    // Small answers and events must not wait for more to send with them.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        tower_oneshot(router.clone(), request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = turns_true(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients go away at any moment: nothing that anyone has to act on.
        tracing::debug!("a connection broke: {error}");
    }
}

/// Waits until `flag` is true, or nobody is left to say so. The guard that the channel lends must not live on.
pub(super) async fn turns_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|is| *is).await;
}

async fn tower_oneshot(router: Router, request: Request) -> std::result::Result<axum::response::Response, Infallible> {
    hyper::service::Service::call(&hyper_util::service::TowerToHyperService::new(router), request).await
}

/// A stream whose reader may be slow, but not dead: a write that makes no progress for [`STALL_TIMEOUT`] ends it.
struct Patient {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream) -> Self {
        Patient { stream, stalled: None }
    }

    fn progress<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_TIMEOUT)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no bytes")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.progress(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.progress(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
