//! The published vectors of Signature Version 4, and every refusal.

use http::HeaderMap;
use http::header::HeaderName;

use super::*;

const HOST_NAME: &str = "example.amazonaws.com";
const TIME: &str = "20150830T123600Z";
const SCOPE: &str = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";

fn keys(more: &str) -> Keys {
    let text = format!(
        "[[key]]\naccess-key = \"AKIDEXAMPLE\"\naccount = \"111111111111\"\n\
         secret = \"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\"\n{more}"
    );
    Keys::parse(&text).unwrap()
}

fn now() -> Moment {
    date::parse(TIME).unwrap()
}

#[derive(Clone)]
struct Request {
    method: &'static str,
    path: &'static str,
    query: String,
    headers: HeaderMap,
    body: &'static str,
}

impl Request {
    fn new(method: &'static str, target: &'static str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert("host", HOST_NAME.parse().unwrap());
        Self {
            method,
            path,
            query: query.to_owned(),
            headers,
            body: "",
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        let name = HeaderName::from_static(name);
        self.headers.append(name, value.parse().unwrap());
        self
    }

    fn signed(self, names: &str, signature: &str) -> Self {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders={names}, Signature={signature}"
        );
        self.with("x-amz-date", TIME).with("authorization", &header)
    }

    fn verify_at(&self, keys: &Keys, now: Moment) -> Result<(String, String), Refusal> {
        let request = Signed {
            method: self.method,
            path: self.path,
            query: Some(self.query.as_str()).filter(|query| !query.is_empty()),
            headers: &self.headers,
            authority: None,
            body: self.body.as_bytes(),
            service: "service",
        };
        let caller = verify(keys, &request, now)?;
        Ok((caller.account.to_owned(), caller.region.into_owned()))
    }

    fn verify(&self) -> Result<(String, String), Refusal> {
        self.verify_at(&keys(""), now())
    }

    /// Type and text of the refusal.
    fn refused(&self) -> (&'static str, String) {
        let refusal = self.verify().unwrap_err();
        (refusal.kind.name(), refusal.message.unwrap())
    }
}

const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

fn vanilla() -> Request {
    Request::new("GET", "/").signed("host;x-amz-date", VANILLA)
}

/// From the published suite.
fn vectors() -> [Request; 9] {
    let unreserved = "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=\
                      -._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let plain = |method, target, signature| {
        Request::new(method, target).signed("host;x-amz-date", signature)
    };
    let form = "application/x-www-form-urlencoded";
    let hash = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
    let mut posted = Request::new("POST", "/")
        .with("content-type", form)
        .with("content-length", "13")
        .with("x-amz-content-sha256", hash)
        .signed(
            "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        );
    posted.body = "Param1=value1";
    [
        vanilla(),
        plain(
            "GET",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        plain(
            "GET",
            unreserved,
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        plain(
            "GET",
            "/?%E1%88%B4=bar",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        plain(
            "GET",
            "//example//",
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        plain(
            "POST",
            "/?Param1=value1",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        ),
        Request::new("GET", "/")
            .with("my-header1", "value2")
            .with("my-header1", "value2")
            .with("my-header1", "value1")
            .signed(
                "host;my-header1;x-amz-date",
                "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            ),
        Request::new("GET", "/")
            .with("my-header1", " value1")
            .with("my-header2", " \"a   b   c\"")
            .signed(
                "host;my-header1;my-header2;x-amz-date",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
        posted,
    ]
}

#[test]
fn the_published_vectors_are_accepted_and_nothing_else_is() {
    let expected = ("111111111111".to_owned(), "us-east-1".to_owned());
    for request in vectors() {
        assert_eq!(request.verify(), Ok(expected.clone()));
        for change in [
            |request: &mut Request| request.method = "PUT",
            |request: &mut Request| request.path = "/else",
            |request: &mut Request| request.query.push_str("&a=b"),
            |request: &mut Request| request.body = "else",
            |request: &mut Request| drop(request.headers.insert("host", "a".parse().unwrap())),
        ] {
            let mut changed = request.clone();
            change(&mut changed);
            let (kind, text) = changed.refused();
            assert_eq!(kind, "InvalidSignatureException");
            assert!(text.starts_with("The request signature we calculated does not match"));
        }
    }
}

const PRESIGNED: &str = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&\
    X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&\
    X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600&\
    X-Amz-Signature=e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d";

#[test]
fn a_presigned_request_is_good_for_as_long_as_it_says() {
    let request = Request::new("GET", PRESIGNED);
    let at = |seconds| request.verify_at(&keys(""), now().after(Duration::from_secs(seconds)));
    assert!(at(0).is_ok());
    assert!(at(3600).is_ok());
    let text = at(3601).unwrap_err().message.unwrap();
    let expected = "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
                    (20150830T133601Z - 3600 sec.)";
    assert_eq!(text, expected);
}

#[test]
fn a_presigned_request_without_its_parts_says_which() {
    let mut request = Request::new("GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=x");
    let missing = "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string \
                   parameters must include 'X-Amz-Signature'. AWS query-string parameters must \
                   include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters.";
    let expected = ("IncompleteSignatureException", missing.to_owned());
    assert_eq!(request.refused(), expected);
    request = Request::new("GET", PRESIGNED);
    request.query = request.query.replace("=3600", "=604801");
    assert_eq!(request.refused().0, "IncompleteSignatureException");
}

#[test]
fn header_and_query_contradict_each_other() {
    let request = Request::new("GET", PRESIGNED).signed("host", VANILLA);
    let (kind, text) = request.refused();
    assert_eq!(kind, "InvalidSignatureException");
    let expected = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as \
                    HTTP header.";
    assert_eq!(text, expected);
}

#[test]
fn nothing_of_a_signature_is_a_missing_token() {
    let expected = (
        "MissingAuthenticationTokenException",
        "Missing Authentication Token".to_owned(),
    );
    assert_eq!(Request::new("GET", "/").refused(), expected);
    let bearer = Request::new("GET", "/").with("authorization", "Bearer x");
    assert_eq!(bearer.refused(), expected);
}

#[test]
fn an_incomplete_header_says_all_that_is_missing() {
    let request = Request::new("GET", "/").with("authorization", "AWS4-HMAC-SHA256 Signature=b");
    let (kind, text) = request.refused();
    assert_eq!(kind, "IncompleteSignatureException");
    let expected = "Authorization header requires 'Credential' parameter. Authorization header \
                    requires 'SignedHeaders' parameter. Authorization header requires existence of \
                    either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 \
                    Signature=b";
    assert_eq!(text, expected);
}

fn scoped(credential: &str) -> (&'static str, String) {
    let header = format!(
        "AWS4-HMAC-SHA256 Credential={credential},SignedHeaders=host;x-amz-date,Signature={VANILLA}"
    );
    Request::new("GET", "/")
        .with("x-amz-date", TIME)
        .with("authorization", &header)
        .refused()
}

#[test]
fn every_part_of_the_scope_is_checked() {
    let invalid = "InvalidSignatureException";
    for (credential, kind, expected) in [
        (
            "AKIDEXAMPLE",
            "IncompleteSignatureException",
            "Credential must have exactly 5",
        ),
        (
            "AKIDEXAMPLE/20150830/US!/service/aws4_request",
            invalid,
            "scoped to a valid region, not 'US!'. ",
        ),
        (
            "AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request",
            invalid,
            "scoped to correct service: 'service'. ",
        ),
        (
            "AKIDEXAMPLE/20150830/us-east-1/service/aws3",
            invalid,
            "valid terminator: 'aws4_request', not 'aws3'. ",
        ),
        (
            "AKIDEXAMPLE/20150829/us-east-1/service/aws4_request",
            invalid,
            "'20150829' != '20150830', from '20150830T123600Z'. ",
        ),
        (
            "AKIDNOBODY/20150830/us-east-1/service/aws4_request",
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
    ] {
        let (found, text) = scoped(credential);
        assert_eq!(found, kind, "{credential}");
        assert!(text.contains(expected), "{credential}: {text}");
    }
}

#[test]
fn a_signature_is_good_for_a_quarter_of_an_hour_both_ways() {
    let skewed = |now: Moment| {
        let refusal = vanilla().verify_at(&keys(""), now).unwrap_err();
        assert_eq!(refusal.kind, Kind::InvalidSignature);
        refusal.message.unwrap()
    };
    let (quarter, longer) = (Duration::from_secs(900), Duration::from_secs(901));
    assert!(vanilla().verify_at(&keys(""), now().after(quarter)).is_ok());
    assert!(
        vanilla()
            .verify_at(&keys(""), now().before(quarter))
            .is_ok()
    );
    let expected = "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
                    (20150830T125101Z - 15 min.)";
    assert_eq!(skewed(now().after(longer)), expected);
    let expected = "Signature not yet current: 20150830T123600Z is still later than \
                    20150830T123559Z (20150830T122059Z + 15 min.)";
    assert_eq!(skewed(now().before(longer)), expected);
}

#[test]
fn the_host_has_to_be_signed_and_dates_have_to_be_dates() {
    let request = Request::new("GET", "/").signed("x-amz-date", VANILLA);
    assert!(request.refused().1.contains("must be a 'SignedHeader'"));
    let mut request = vanilla();
    let yesterday = "yesterday".parse().unwrap();
    request.headers.insert("x-amz-date", yesterday);
    assert_eq!(request.refused().0, "IncompleteSignatureException");
}

#[test]
fn the_keys_of_a_session_need_their_token_and_end() {
    const TOKEN: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    let signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8";
    let request = Request::new("GET", "/")
        .with("x-amz-security-token", TOKEN)
        .signed("host;x-amz-date;x-amz-security-token", signature);
    let session = keys(&format!("session-token = \"{TOKEN}\"\n"));
    assert!(request.verify_at(&session, now()).is_ok());
    let kind = |keys: &Keys, request: &Request| request.verify_at(keys, now()).unwrap_err().kind;
    assert_eq!(kind(&session, &vanilla()), Kind::UnrecognizedClient);
    assert_eq!(kind(&keys(""), &request), Kind::UnrecognizedClient);
    let other = keys("session-token = \"other\"\n");
    assert_eq!(kind(&other, &request), Kind::UnrecognizedClient);
    let until = |end: u64| {
        keys(&format!(
            "session-token = \"{TOKEN}\"\nexpires-at = {end}\n"
        ))
    };
    assert_eq!(kind(&until(now().seconds()), &request), Kind::ExpiredToken);
    assert!(
        request
            .verify_at(&until(now().seconds() + 1), now())
            .is_ok()
    );
}

#[test]
fn signatures_that_are_no_hex_are_wrong_and_no_crash() {
    for signature in ["0", "zz", "5F", "é", &"0".repeat(64), &VANILLA[..62]] {
        let request = Request::new("GET", "/").signed("host;x-amz-date", signature);
        let kind = request.verify().unwrap_err().kind;
        assert_eq!(kind, Kind::InvalidSignature, "{signature}");
    }
}
