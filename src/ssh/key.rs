//! One private key.

use std::fmt;

use base64::Engine as _;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKey, KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
};

use super::number::modulo_predecessor;
use super::wire::{Reader, put, put_positive};
use super::{Error, Result};

const OPENSSH: &[u8] = b"openssh-key-v1\0";
/// A request for a signature with RSA and SHA-256, or with SHA-512.
const SHA_256: u32 = 2;
const SHA_512: u32 = 4;

/// A private key with its public half.
pub struct Key {
    secret: Secret,
    public: Vec<u8>,
    comment: Vec<u8>,
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    Ecdsa { name: &'static str, key: EcdsaKeyPair },
    Rsa(Box<RsaKey>),
}

impl Key {
    /// Reads a key file: OpenSSH's own form, or PEM (`RSA PRIVATE KEY`, `PRIVATE KEY`).
    pub fn parse(text: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(text).map_err(|_not_text| Error::NoKey)?;
        let (_, rest) = text.split_once("-----BEGIN ").ok_or(Error::NoKey)?;
        let (label, rest) = rest.split_once("-----").ok_or(Error::NoKey)?;
        let body = rest.split_once("-----END ").ok_or(Error::Damaged)?.0;
        if label == "ENCRYPTED PRIVATE KEY" || body.contains("ENCRYPTED") {
            return Err(Error::Protected);
        }
        let body: String = body.split_whitespace().collect();
        let bytes = || base64::engine::general_purpose::STANDARD.decode(&body).map_err(|_not_base64| Error::Damaged);
        match label {
            "OPENSSH PRIVATE KEY" => openssh(&bytes()?),
            "RSA PRIVATE KEY" => RsaKey::from_der(&bytes()?).map(Self::of_rsa).map_err(|_rejected| Error::Damaged),
            "PRIVATE KEY" => pkcs8(&bytes()?),
            label if label.ends_with("PRIVATE KEY") => Err(unsupported(label.trim_end_matches(" PRIVATE KEY"))),
            _ => Err(Error::NoKey),
        }
    }

    fn new(secret: Secret, comment: &[u8]) -> Self {
        let mut public = Vec::new();
        match &secret {
            Secret::Ed25519(key) => {
                put(&mut public, b"ssh-ed25519");
                put(&mut public, key.public_key().as_ref());
            }
            Secret::Ecdsa { name, key } => {
                put(&mut public, format!("ecdsa-sha2-{name}").as_bytes());
                put(&mut public, name.as_bytes());
                put(&mut public, key.public_key().as_ref());
            }
            Secret::Rsa(key) => {
                put(&mut public, b"ssh-rsa");
                let parts = PublicKeyComponents::<Vec<u8>>::from(key.public());
                put_positive(&mut public, &parts.e);
                put_positive(&mut public, &parts.n);
            }
        }
        Self { secret, public, comment: comment.to_vec() }
    }

    fn of_rsa(key: RsaKey) -> Self {
        Self::new(Secret::Rsa(Box::new(key)), b"")
    }

    /// Its public half, as ssh sends it.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Whose key it is.
    pub(super) fn comment(&self) -> &[u8] {
        &self.comment
    }

    /// Signs, in the form that ssh sends; none if the kind of signature is not known, such as RSA with SHA-1.
    pub(super) fn sign(&self, message: &[u8], flags: u32) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let (name, signature) = match &self.secret {
            Secret::Ed25519(key) => ("ssh-ed25519".to_owned(), key.sign(message).as_ref().to_vec()),
            Secret::Ecdsa { name, key } => {
                let fixed = key.sign(&random, message).ok()?;
                let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
                let mut pair = Vec::new();
                put_positive(&mut pair, r);
                put_positive(&mut pair, s);
                (format!("ecdsa-sha2-{name}"), pair)
            }
            Secret::Rsa(key) => {
                let (name, padding): (_, &'static dyn ring::signature::RsaEncoding) = match flags {
                    flags if flags & SHA_512 != 0 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
                    flags if flags & SHA_256 != 0 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
                    _ => return None,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, message, &mut signature).ok()?;
                (name.to_owned(), signature)
            }
        };
        let mut out = Vec::new();
        put(&mut out, name.as_bytes());
        put(&mut out, &signature);
        Some(out)
    }
}

/// Without the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

fn unsupported(kind: &str) -> Error {
    Error::Unsupported { kind: kind.chars().filter(|c| !c.is_control()).take(60).collect() }
}

fn pkcs8(bytes: &[u8]) -> Result<Key> {
    if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
        return Ok(Key::new(Secret::Ed25519(key), b""));
    }
    let random = SystemRandom::new();
    for (name, algorithm) in
        [("nistp256", &ECDSA_P256_SHA256_FIXED_SIGNING), ("nistp384", &ECDSA_P384_SHA384_FIXED_SIGNING)]
    {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(algorithm, bytes, &random) {
            return Ok(Key::new(Secret::Ecdsa { name, key }, b""));
        }
    }
    RsaKey::from_pkcs8(bytes).map(Key::of_rsa).map_err(|_rejected| unsupported("PKCS #8"))
}

fn openssh(bytes: &[u8]) -> Result<Key> {
    let mut outer = Reader::new(bytes.strip_prefix(OPENSSH).ok_or(Error::Damaged)?);
    let cipher = outer.string()?;
    let (_method, _options) = (outer.string()?, outer.string()?);
    if cipher != b"none" {
        return Err(Error::Protected);
    }
    if outer.number()? != 1 {
        return Err(unsupported("several keys"));
    }
    let _public = outer.string()?;
    let mut inner = Reader::new(outer.string()?);
    if inner.number()? != inner.number()? {
        return Err(Error::Damaged);
    }
    let kind = inner.string()?;
    let secret = match kind {
        b"ssh-ed25519" => {
            let (public, secret) = (inner.string()?, inner.string()?);
            let seed = secret.get(..32).ok_or(Error::Damaged)?;
            let key = Ed25519KeyPair::from_seed_and_public_key(seed, public);
            Secret::Ed25519(key.map_err(|_rejected| Error::Damaged)?)
        }
        b"ssh-rsa" => Secret::Rsa(Box::new(rsa(&mut inner)?)),
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" => ecdsa(&mut inner)?,
        other => return Err(unsupported(&String::from_utf8_lossy(other))),
    };
    Ok(Key::new(secret, inner.string()?))
}

fn rsa(inner: &mut Reader<'_>) -> Result<RsaKey> {
    let (n, e, d) = (inner.positive()?, inner.positive()?, inner.positive()?);
    let (inverse, p, q) = (inner.positive()?, inner.positive()?, inner.positive()?);
    // No key is longer than 16384 bits.
    if d.len() > 2048 || p.len() > 2048 || q.len() > 2048 {
        return Err(Error::Damaged);
    }
    let exponent = |prime| modulo_predecessor(d, prime).ok_or(Error::Damaged);
    let (d_p, d_q) = (exponent(p)?, exponent(q)?);
    let public_key = PublicKeyComponents { n, e };
    let components = KeyPairComponents { public_key, d, p, q, dP: &d_p[..], dQ: &d_q[..], qInv: inverse };
    RsaKey::from_components(&components).map_err(|rejected| match rejected.to_string().as_str() {
        "TooSmall" | "TooLarge" => unsupported("ssh-rsa with less than 2048 or more than 4096 bits"),
        _ => Error::Damaged,
    })
}

fn ecdsa(inner: &mut Reader<'_>) -> Result<Secret> {
    let (curve, public, secret) = (inner.string()?, inner.string()?, inner.positive()?);
    let (name, algorithm, length) = match curve {
        b"nistp256" => ("nistp256", &ECDSA_P256_SHA256_FIXED_SIGNING, 32),
        b"nistp384" => ("nistp384", &ECDSA_P384_SHA384_FIXED_SIGNING, 48),
        _ => return Err(Error::Damaged),
    };
    let zeros = length - secret.len().min(length);
    let padded = [vec![0; zeros], secret.to_vec()].concat();
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &padded, public, &SystemRandom::new());
    Ok(Secret::Ecdsa { name, key: key.map_err(|_rejected| Error::Damaged)? })
}
