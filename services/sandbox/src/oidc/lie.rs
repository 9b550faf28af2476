//! Wrong id tokens, which a shop must refuse.

use serde::Deserialize;

/// What is wrong with the next id token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdTokenLie {
    /// Of another sign-in.
    WrongNonce,
    /// None at all.
    NoNonce,
    /// For another shop.
    WrongAudience,
    /// For this shop and another one.
    SecondAudience,
    /// By another provider.
    WrongIssuer,
    /// An hour old.
    Expired,
    /// Issued tomorrow.
    FromTheFuture,
    /// Without a signature: `alg` is `none`.
    Unsigned,
    /// Signed with a secret that everybody knows: the public key.
    PublicKeyAsSecret,
    /// Signed by somebody else in the name of the published key.
    ForeignKey,
    /// No token.
    Missing,
}

impl IdTokenLie {
    /// Every lie there is.
    pub const ALL: [Self; 11] = [
        Self::WrongNonce,
        Self::NoNonce,
        Self::WrongAudience,
        Self::SecondAudience,
        Self::WrongIssuer,
        Self::Expired,
        Self::FromTheFuture,
        Self::Unsigned,
        Self::PublicKeyAsSecret,
        Self::ForeignKey,
        Self::Missing,
    ];
}
