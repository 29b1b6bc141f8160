//! Who may knock: pages of other sites may not, and neither may names that only pretend to be this
//! machine (DNS rebinding). Pure; asked for every request that comes over a socket, before anything
//! of it is served, the control interface's included.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::{Method, Uri};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The hosts by which a listener may be called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// In lower case, without ports. `*` is every name.
    names: BTreeSet<String>,
    bound: Option<IpAddr>,
    /// Whether the name in `Host` is proven by a signature.
    is_signed: bool,
}

/// Why a request is not served. The text is for the person who sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed(pub(crate) String);

impl Gate {
    pub(crate) fn new(
        bound: SocketAddr,
        allowed: impl IntoIterator<Item = String>,
        is_signed: bool,
    ) -> Self {
        Self {
            names: allowed
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            bound: Some(bound.ip()),
            is_signed,
        }
    }

    /// Whether a request may be served.
    pub(crate) fn check(&self, head: &Parts) -> Result<(), Closed> {
        if !self.is_signed {
            let named = host(&head.headers, &head.uri);
            if let Some(host) = named
                && !self.knows(&host)
            {
                return Err(Closed(format!(
                    "The host '{host}' is not served. Start the emulator with --allow-host {host}."
                )));
            }
        }
        if let Some(origin) = head.headers.get(ORIGIN) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            let name = origin.split_once("://").map(|(_, rest)| without_port(rest));
            if name.as_ref().is_some_and(|name| self.knows(name)) || self.names.contains("*") {
                return Ok(());
            }
            return Err(Closed(format!(
                "Pages of the origin '{origin}' are not served. Start the emulator with \
                 --allow-host and the name of their host."
            )));
        }
        // A browser says so where it sends no origin. Following a link shows a page to nobody else.
        let is = |name: HeaderName, value: &str| {
            head.headers
                .get(name)
                .is_some_and(|found| found.as_bytes() == value.as_bytes())
        };
        let follows_link = head.method == Method::GET && is(FETCH_MODE, "navigate");
        if is(FETCH_SITE, "cross-site") && !follows_link {
            let text = "Pages of other sites are not served.";
            return Err(Closed(text.to_owned()));
        }
        Ok(())
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        if host == "localhost" || host.ends_with(".localhost") || self.names.contains(host) {
            return true;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_ours = bare.parse::<IpAddr>().is_ok_and(|address| {
            // An address cannot be rebound: whoever names one reached this machine by it.
            let any = self.bound.is_some_and(|bound| bound.is_unspecified());
            address.is_loopback() || any || self.bound == Some(address)
        });
        is_ours || self.names.contains("*")
    }
}

/// The host a request names, without its port; requests that name none are not a browser's.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    match headers.get(HOST) {
        Some(host) => Some(without_port(&String::from_utf8_lossy(host.as_bytes()))),
        None => Some(without_port(uri.authority()?.as_str())),
    }
}

fn without_port(host: &str) -> String {
    let host = host.trim();
    // An address of version 6 has colons of its own, inside brackets.
    let (name, rest) = match host.find(']') {
        Some(bracket) => host.split_at(bracket + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = rest.is_empty() || rest.starts_with(':');
    if is_port { name } else { host }.to_owned()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn gate_of(bound: &str, allowed: &[&str]) -> Gate {
        let allowed = allowed.iter().map(|&name| name.to_owned());
        Gate::new(bound.parse().unwrap(), allowed, false)
    }

    fn passes(gate: &Gate, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        gate.check(&request.body(()).unwrap().into_parts().0)
            .is_ok()
    }

    #[test]
    fn only_this_machine_and_what_is_allowed_may_be_called() {
        let gate = gate_of("127.0.0.1:4567", &["Kinesis"]);
        for host in [
            "localhost",
            "localhost:4567",
            "LOCALHOST.:1",
            "a.localhost",
            "127.0.0.1:4567",
            "127.9.9.9",
            "[::1]:4567",
            "kinesis:4567",
        ] {
            assert!(passes(&gate, &[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.test",
            "localhost.evil.test",
            "notlocalhost",
            "10.0.0.1:4567",
            "127.0.0.1.evil.test",
            "evil.test:localhost",
            "[::1].evil.test",
        ] {
            assert!(!passes(&gate, &[("host", host)]), "{host}");
        }
        assert!(passes(&gate, &[]));
    }

    #[test]
    fn any_address_may_be_named_where_all_are_listened_to() {
        let gate = gate_of("0.0.0.0:4567", &[]);
        assert!(passes(&gate, &[("host", "10.0.0.1:4567")]));
        assert!(!passes(&gate, &[("host", "evil.test")]));
        let gate = gate_of("10.0.0.1:1", &[]);
        assert!(passes(&gate, &[("host", "10.0.0.1")]));
        assert!(!passes(&gate, &[("host", "10.0.0.2")]));
        assert!(passes(&gate_of("0.0.0.0:1", &["*"]), &[("host", "a.test")]));
    }

    #[test]
    fn the_host_of_http_2_is_in_its_target() {
        let head = |uri: &str| Request::post(uri).body(()).unwrap().into_parts().0;
        let gate = gate_of("127.0.0.1:1", &[]);
        assert!(gate.check(&head("http://localhost:1/")).is_ok());
        assert!(gate.check(&head("http://evil.test/")).is_err());
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let gate = gate_of("127.0.0.1:4567", &["app.test"]);
        let from = |origin| passes(&gate, &[("host", "localhost"), ("origin", origin)]);
        for origin in [
            "http://localhost:3000",
            "https://127.0.0.1",
            "http://[::1]:3000",
            "https://app.test",
        ] {
            assert!(from(origin), "{origin}");
        }
        for origin in ["http://evil.test", "null", "", "file://", "localhost"] {
            assert!(!from(origin), "{origin}");
        }
    }

    #[test]
    fn pages_that_send_no_origin_are_known_by_what_the_browser_says() {
        let gate = gate_of("127.0.0.1:4567", &[]);
        let cross = ("sec-fetch-site", "cross-site");
        assert!(!passes(&gate, &[cross]));
        assert!(passes(&gate, &[("sec-fetch-site", "same-origin")]));
        assert!(
            !passes(&gate, &[cross, ("sec-fetch-mode", "navigate")]),
            "a form is posted"
        );
        let link = Request::get("/")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate");
        let head = link.body(()).unwrap().into_parts().0;
        assert!(gate.check(&head).is_ok());
    }
}
