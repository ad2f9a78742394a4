//! A token server that docker-registry believes (distribution `docs/spec/auth/jwt.md`).

use crate::fake::{Answer, Asked, Fake};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

const ISSUER: &str = "lab tokens";
const SERVICE: &str = "lab registry";
const CERTIFICATE: &[u8] = include_bytes!("../../../testdata/server.crt");
const KEY: &[u8] = include_bytes!("../../../testdata/server.key");
/// `alice:secret`.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

/// Gives alice whatever she asks for, and nobody else anything.
pub(crate) struct TokenServer {
    fake: Fake,
    granted: Arc<Mutex<Vec<String>>>,
}

/// What docker-registry needs to know of it.
pub(super) fn configuration(realm: &str) -> String {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ca.crt");
    format!(
        "auth: {{token: {{realm: '{realm}', service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {}}}}}\n",
        roots.display()
    )
}

impl TokenServer {
    pub fn start() -> Self {
        let granted = Arc::<Mutex<Vec<String>>>::default();
        let grants = granted.clone();
        let fake = Fake::start(move |asked| {
            if asked.header("authorization") != Some(ALICE) {
                return match asked.header("authorization") {
                    None => Answer::ok(json!({"token": token(&[])}).to_string()),
                    Some(_) => Answer::new("401 Unauthorized", ""),
                };
            }
            let scopes = scopes(asked);
            grants.lock().unwrap().extend(scopes.iter().cloned());
            Answer::ok(json!({"token": token(&scopes)}).to_string())
        });
        Self { fake, granted }
    }

    pub fn realm(&self) -> String {
        format!("http://{}/token", self.fake.host)
    }

    /// Every scope that was given to somebody.
    pub fn granted(&self) -> Vec<String> {
        self.granted.lock().unwrap().clone()
    }
}

fn scopes(asked: &Asked) -> Vec<String> {
    let url = url::Url::parse(&format!("http://here{}", asked.path)).unwrap();
    let pairs = url.query_pairs();
    pairs.filter(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned()).collect()
}

/// A JSON web token for these scopes, signed by the key of a certificate that the registry's root vouches for.
fn token(scopes: &[String]) -> String {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der(), &random).unwrap();
    let x5c = [base64::engine::general_purpose::STANDARD.encode(certificate)];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": SERVICE, "jti": "1",
        "nbf": now - 60, "iat": now - 60, "exp": now + 600,
        "access": scopes.iter().map(|scope| access(scope)).collect::<Vec<_>>(),
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ES256", "x5c": x5c})), part(&claims));
    let signature = key.sign(&random, signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// `repository:team/app:pull,push`
fn access(scope: &str) -> Value {
    let mut parts = scope.splitn(3, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (kind, name, actions) = (next(), next(), next());
    json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()})
}
