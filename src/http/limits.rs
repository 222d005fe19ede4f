//! How much one address may send, a token bucket per client, and how many connections it may hold.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::error::Failure;

/// Addresses remembered at once. Beyond it those that owe nothing are forgotten, then all: memory stays bounded.
const LIMIT_ADDRESSES: usize = 50_000;

/// A bucket of `per_minute` tokens for each client; one token is one request.
pub(super) struct Buckets {
    per_minute: f64,
    // A plain mutex: held for a map look-up, never across an await.
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Buckets {
    /// `per_minute` 0 switches the limit off.
    pub fn new(per_minute: u32) -> Self {
        Buckets { per_minute: f64::from(per_minute), buckets: Mutex::default() }
    }

    /// Takes a token for `client`; `None` is never limited.
    ///
    /// # Errors
    /// 429 with the seconds until the next token.
    pub fn take(&self, client: Option<IpAddr>) -> Result<(), Failure> {
        self.take_at(client, Instant::now())
    }

    fn take_at(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Failure> {
        let Some(client) = client.filter(|_| self.per_minute > 0.0) else { return Ok(()) };
        let per_s = self.per_minute / 60.0;
        let tokens_at = |bucket: &Bucket| {
            (bucket.tokens + now.duration_since(bucket.filled).as_secs_f64() * per_s).min(self.per_minute)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= LIMIT_ADDRESSES {
            buckets.retain(|_, bucket| tokens_at(bucket) < self.per_minute);
            if buckets.len() >= LIMIT_ADDRESSES {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(network(client)).or_insert(Bucket { tokens: self.per_minute, filled: now });
        *bucket = Bucket { tokens: tokens_at(bucket), filled: now };
        if bucket.tokens < 1.0 {
            let wait_s = ((1.0 - bucket.tokens) / per_s).ceil().max(1.0);
            return Err(Failure::too_many(wait_s as u64));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

/// How many connections each client holds. Without a cap, one could take every place that the server has.
pub(super) struct Places {
    per_client: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place, given back when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    client: Option<IpAddr>,
}

impl Places {
    /// `per_client` 0 switches the cap off.
    pub fn new(per_client: usize) -> Arc<Self> {
        Arc::new(Places { per_client, held: Mutex::default() })
    }

    /// Takes a place for `client`, or none where it holds as many as it may; `None` is never refused.
    pub fn take(self: &Arc<Self>, client: Option<IpAddr>) -> Option<Place> {
        let client = client.filter(|_| self.per_client > 0).map(network);
        if let Some(client) = client {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let count = held.entry(client).or_insert(0);
            if *count >= self.per_client {
                return None;
            }
            *count += 1;
        }
        Some(Place { places: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                held.remove(&client);
            }
        }
    }
}

/// The address that a limit counts for; `None` on this machine. An IPv4 client of a socket for both is one of IPv4.
pub(super) fn limited(peer: IpAddr) -> Option<IpAddr> {
    Some(peer.to_canonical()).filter(|ip| !ip.is_loopback())
}

/// One household has one IPv4 address, but a whole /64 of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_for_each_network() {
        let buckets = Buckets::new(2);
        let now = Instant::now();
        let taken = |client: &str, after_s| {
            buckets.take_at(Some(client.parse().unwrap()), now + Duration::from_secs(after_s)).is_ok()
        };
        assert!(taken("10.0.0.1", 0) && taken("10.0.0.1", 0));
        assert!(!taken("10.0.0.1", 1), "the third within a minute");
        assert!(taken("10.0.0.2", 1), "another client");
        assert!(taken("10.0.0.1", 31), "a token is back after 30 s");
        assert!(taken("2001:db8::1", 31) && taken("2001:db8::2", 31));
        assert!(!taken("2001:db8::3", 31), "one /64 is one client");
    }

    #[test]
    fn an_address_is_the_same_on_a_socket_for_both_families() {
        let of = |ip: &str| limited(ip.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(of("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("2001:db8::7").as_deref(), Some("2001:db8::7"));
        assert_eq!([of("127.0.0.1"), of("::1"), of("::ffff:127.0.0.1")], [None, None, None]);
    }

    #[test]
    fn a_client_holds_so_many_connections_and_gives_them_back() {
        let places = Places::new(2);
        let take = |client: &str| places.take(Some(client.parse().unwrap()));
        let held = [take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert!(take("2001:db8::3").is_none(), "one /64 is one client");
        assert!(take("10.0.0.1").is_some(), "another client");
        drop(held);
        assert!(take("2001:db8::3").is_some());
        assert!(places.held.lock().unwrap().is_empty(), "nobody who left is remembered");
        let unlimited: Vec<_> = (0..9).map(|_| places.take(None)).collect();
        assert!(unlimited.iter().all(Option::is_some));
        let off = Places::new(0);
        assert!((0..9).all(|_| off.take(Some("10.0.0.1".parse().unwrap())).is_some()));
    }

    #[test]
    fn zero_and_no_client_are_not_limited() {
        let client = Some("10.0.0.1".parse().unwrap());
        assert!((0..1000).all(|_| Buckets::new(0).take(client).is_ok()));
        let buckets = Buckets::new(1);
        assert!((0..1000).all(|_| buckets.take(None).is_ok()));
    }
}
