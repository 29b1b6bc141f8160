//! The three protocols of the service: how an answer goes out in each.
//!
//! Clients of today speak CBOR or JSON and were written for XML, so that every refusal names its XML
//! code in a header. Called by [`super::front`].

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::wire::answer::{JSON_1_0, REQUEST_ID, answer};
use crate::wire::body::Body;
use crate::wire::cbor;

use super::refusal::Refusal;
use super::shape::{Shape, element, escape};

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";
const XML: HeaderValue = HeaderValue::from_static("text/xml");
const CBOR: HeaderValue = HeaderValue::from_static("application/cbor");
const SMITHY_PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// A form that is answered in XML.
    Query,
    /// AWS JSON 1.0.
    Json,
    /// Smithy RPC v2.
    Cbor,
}

impl Protocol {
    /// An answer to a call of an operation; its reply may be void.
    pub(super) fn answer(
        self,
        id: &HeaderValue,
        operation: &str,
        reply: Option<&Shape>,
    ) -> Response<Body> {
        let ok = StatusCode::OK;
        let out = match self {
            Self::Query => {
                let mut out = format!("<{operation}Response xmlns=\"{NAMESPACE}\">");
                if let Some(reply) = reply {
                    let result = format!("{operation}Result");
                    element(&mut out, &result, |out| reply.write_xml(out));
                }
                element(&mut out, "ResponseMetadata", |out| request_id(out, id));
                out.push_str(&format!("</{operation}Response>"));
                answer(ok, Some(XML), out)
            }
            Self::Json => {
                let body = match reply {
                    Some(reply) => json(reply),
                    None => b"{}".to_vec(),
                };
                answer(ok, Some(JSON_1_0), body)
            }
            Self::Cbor => match reply {
                Some(reply) => answer(ok, Some(CBOR), cbor::to_vec(reply)),
                // What has no output has neither a body nor a type of it.
                None => answer(ok, None, Bytes::new()),
            },
        };
        self.mark(id, out)
    }

    pub(super) fn refuse(self, id: &HeaderValue, refusal: &Refusal) -> Response<Body> {
        let name = refusal.kind.name();
        let side = if name.status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        let body = Shape::Structure(vec![
            ("__type", Shape::text(name.shape)),
            ("message", Shape::text(refusal.message.as_str())),
        ]);
        let mut out = match self {
            Self::Query => {
                let error = Shape::Structure(vec![
                    ("Type", Shape::text(side)),
                    ("Code", Shape::text(name.code)),
                    ("Message", Shape::text(refusal.message.as_str())),
                ]);
                let mut out = format!("<ErrorResponse xmlns=\"{NAMESPACE}\">");
                element(&mut out, "Error", |out| error.write_xml(out));
                request_id(&mut out, id);
                out.push_str("</ErrorResponse>");
                answer(name.status, Some(XML), out)
            }
            Self::Json => answer(name.status, Some(JSON_1_0), json(&body)),
            Self::Cbor => answer(name.status, Some(CBOR), cbor::to_vec(&body)),
        };
        if self != Self::Query
            && let Ok(header) = HeaderValue::try_from(format!("{};{side}", name.code))
        {
            out.headers_mut().insert(QUERY_ERROR, header);
        }
        self.mark(id, out)
    }

    /// What every answer carries.
    fn mark(self, id: &HeaderValue, mut out: Response<Body>) -> Response<Body> {
        out.headers_mut().insert(REQUEST_ID, id.clone());
        if self == Self::Cbor {
            let protocol = HeaderValue::from_static("rpc-v2-cbor");
            out.headers_mut().insert(SMITHY_PROTOCOL, protocol);
        }
        out
    }
}

fn request_id(out: &mut String, id: &HeaderValue) {
    let id = id.to_str().unwrap_or_default();
    element(out, "RequestId", |out| escape(out, id));
}

fn json(shape: &Shape) -> Vec<u8> {
    serde_json::to_vec(shape).expect("replies have string keys and go to memory")
}
