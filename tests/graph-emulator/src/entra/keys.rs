//! The key that signs tokens: one per process, so that tokens do not outlive it.

use std::sync::LazyLock;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(super) struct SigningKey {
    pub(super) id: String,
    pub(super) sign: EncodingKey,
    pub(super) verify: DecodingKey,
    pub(super) public: Value,
}

static KEY: LazyLock<SigningKey> = LazyLock::new(generate);

pub(super) fn signing_key() -> &'static SigningKey {
    &KEY
}

#[expect(
    clippy::expect_used,
    reason = "a process that cannot make a key cannot serve anything"
)]
fn generate() -> SigningKey {
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("generate an RSA key");
    let sign = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("read the key");
    let jwk = Jwk::from_encoding_key(&sign, Algorithm::RS256).expect("derive the public key");
    let verify = DecodingKey::from_jwk(&jwk).expect("read the public key");
    let mut public = serde_json::to_value(&jwk).expect("write the public key");
    let digest = Sha256::digest(public["n"].as_str().unwrap_or_default());
    let id = digest
        .iter()
        .take(10)
        .fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
    public["kid"] = id.clone().into();
    public["use"] = "sig".into();
    SigningKey {
        id,
        sign,
        verify,
        public,
    }
}
