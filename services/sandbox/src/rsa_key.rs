//! RSA keys that are made afresh by each process and protect nothing.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};

/// A key that signs with RS256. Making one takes a tenth of a second: share it.
pub struct RsaKey {
    /// What tokens and the published set call it by.
    pub id: String,
    /// The private half, as a PKCS #8 document in PEM.
    pub pem: String,
    /// The private half, to sign with.
    pub private: EncodingKey,
    /// The public half, as it is published.
    pub public: Jwk,
}

impl RsaKey {
    /// A new key under this name.
    ///
    /// # Panics
    /// Without a random source; nothing works then.
    #[expect(clippy::expect_used, reason = "a key that was just generated can be written down and read again")]
    pub fn generate(id: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a random source");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a PKCS #8 document");
        let body = BASE64_STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("an RSA key");
        let mut public = Jwk::from_encoding_key(&private, Algorithm::RS256).expect("a public key");
        public.common.key_id = Some(id.to_owned());
        Self { id: id.to_owned(), pem, private, public }
    }
}
