//! TLS: what a client trusts, which protocol is chosen, and who comes to the wrong port.

use std::sync::Arc;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{Builder, Credentials};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use kinesis_emulator::{Auth, Emulator, Keys, Settings, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn start(tls: Tls) -> (Emulator, String) {
    let authority = tls.authority().unwrap_or_default().to_owned();
    let emulator = Emulator::builder().tls(tls).start().await.unwrap();
    assert!(emulator.endpoint().starts_with("https://127.0.0.1:"));
    (emulator, authority)
}

/// A client of the SDK that trusts `authority` and nobody else.
fn client(emulator: &Emulator, authority: &str, credentials: Credentials) -> Client {
    let trust = TrustStore::empty().with_pem_certificate(authority);
    let context = TlsContext::builder().with_trust_store(trust).build();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context.unwrap())
        .build_https();
    let builder = Builder::from(&emulator.sdk_config()).http_client(http);
    Client::from_conf(builder.credentials_provider(credentials).build())
}

fn any() -> Credentials {
    Credentials::new("test", "test", None, None, "test")
}

#[tokio::test]
async fn the_sdk_calls_over_tls_if_it_trusts_the_authority() {
    let (emulator, authority) = start(Tls::self_made(&[]).unwrap()).await;
    let trusting = client(&emulator, &authority, any());
    trusting.list_streams().send().await.unwrap();
    let other = Tls::self_made(&[]).unwrap();
    let doubting = client(&emulator, other.authority().unwrap(), any());
    assert!(doubting.list_streams().send().await.is_err());
}

#[tokio::test]
async fn signatures_hold_over_tls_and_http_2() {
    let keys = "[[key]]\naccess-key = \"A\"\nsecret = \"right\"\naccount = \"111111111111\"\n";
    let settings = Settings {
        auth: Auth::SigV4(Keys::parse(keys).unwrap()),
        ..Settings::default()
    };
    let tls = Tls::self_made(&[]).unwrap();
    let authority = tls.authority().unwrap().to_owned();
    let builder = Emulator::builder().settings(settings).tls(tls);
    let emulator = builder.start().await.unwrap();
    let with = |secret: &str| {
        let credentials = Credentials::new("A", secret, None, None, "test");
        client(&emulator, &authority, credentials)
    };
    with("right").list_streams().send().await.unwrap();
    let refused = with("wrong").list_streams().send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidSignatureException"));
}

async fn shake(
    emulator: &Emulator,
    authority: &str,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.as_bytes());
    roots.add(certificate.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(emulator.address()).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn speaks_h2(mut stream: TlsStream<TcpStream>) -> bool {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    frame[3] == 4
}

async fn speaks_h1(mut stream: TlsStream<TcpStream>) -> bool {
    let request = b"GET /_emulator/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    answer == *b"HTTP/1.1 200 OK"
}

#[tokio::test]
async fn the_protocol_is_the_one_agreed_on_or_the_one_that_is_spoken() {
    let (emulator, authority) = start(Tls::self_made(&[]).unwrap()).await;
    let shake = async |protocols: &[&str]| {
        shake(&emulator, &authority, "localhost", protocols)
            .await
            .unwrap()
    };
    let both = shake(&["h2", "http/1.1"]).await;
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    assert!(speaks_h2(both).await);
    let old = shake(&["http/1.1"]).await;
    assert_eq!(
        old.get_ref().1.alpn_protocol(),
        Some(b"http/1.1".as_slice())
    );
    assert!(speaks_h1(old).await);
    let none = shake(&[]).await;
    assert_eq!(none.get_ref().1.alpn_protocol(), None);
    assert!(
        speaks_h2(none).await,
        "without agreement the preface decides"
    );
    assert!(speaks_h1(shake(&[]).await).await);
}

#[tokio::test]
async fn the_certificate_is_good_for_this_machine_and_for_added_names() {
    let names = ["kinesis.test".to_owned(), "10.9.8.7".to_owned()];
    let (emulator, authority) = start(Tls::self_made(&names).unwrap()).await;
    for name in ["localhost", "127.0.0.1", "::1", "kinesis.test", "10.9.8.7"] {
        assert!(
            shake(&emulator, &authority, name, &[]).await.is_ok(),
            "{name}"
        );
    }
    assert!(
        shake(&emulator, &authority, "other.test", &[])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn who_trusted_a_kept_authority_still_does_after_a_restart() {
    let name = format!("kinesis-emulator-{:x}.key", fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    let (first, authority) = start(Tls::kept(&path, &[]).unwrap()).await;
    drop(first);
    let (second, _) = start(Tls::kept(&path, &[]).unwrap()).await;
    std::fs::remove_file(path).unwrap();
    let client = client(&second, &authority, any());
    client.list_streams().send().await.unwrap();
}

async fn plain(emulator: &Emulator) -> String {
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    let request = b"GET /_emulator/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn plain_text_is_sent_away_with_a_reason_unless_both_are_spoken() {
    let (emulator, _) = start(Tls::self_made(&[]).unwrap()).await;
    let answer = plain(&emulator).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{answer}");
    assert!(answer.ends_with("use an https:// URL.\n"), "{answer}");
    let (both, authority) = start(Tls::self_made(&[]).unwrap().and_plain()).await;
    assert!(plain(&both).await.starts_with("HTTP/1.1 200 OK"));
    assert!(shake(&both, &authority, "localhost", &[]).await.is_ok());
}

#[tokio::test]
async fn tls_on_a_port_without_it_ends_at_once() {
    let emulator = Emulator::start().await.unwrap();
    let other = Tls::self_made(&[]).unwrap();
    let authority = other.authority().unwrap();
    assert!(shake(&emulator, authority, "localhost", &[]).await.is_err());
}
