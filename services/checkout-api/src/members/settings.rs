//! Which identity provider vouches for members, if one does.

use secrecy::SecretString;
use service::Env;

/// The shop's own identity provider, and the shop as it knows it.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// `OIDC_ISSUER`: exactly as the provider names itself.
    pub issuer: String,
    /// `OIDC_CLIENT_ID`
    pub client_id: String,
    /// `OIDC_CLIENT_SECRET`: a provider that knows the shop as a public client gives none.
    pub client_secret: Option<SecretString>,
}

impl ProviderSettings {
    /// `None`: there are only guests.
    pub(crate) fn read(env: &mut Env) -> Option<Self> {
        let issuer = env.optional_url(
            "OIDC_ISSUER",
            "issuer URL of the identity provider (OpenID Connect) where members sign in; when unset there are only guests",
        );
        let client_id: Option<String> = env.optional("OIDC_CLIENT_ID", "the shop's client id at the identity provider");
        let client_secret = env.optional_secret(
            "OIDC_CLIENT_SECRET",
            "the shop's client secret there; leave it unset for a public client",
        );
        match (issuer, client_id) {
            (Some(issuer), Some(client_id)) => Some(Self { issuer, client_id, client_secret }),
            (None, None) => None,
            (Some(_), None) => {
                env.refuse("OIDC_CLIENT_ID", "needed with OIDC_ISSUER");
                None
            }
            (None, Some(_)) => {
                env.refuse("OIDC_ISSUER", "needed with OIDC_CLIENT_ID");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_whole_or_not_at_all() {
        let read = |pairs: &[(&str, &str)]| {
            let mut env = Env::from_pairs(pairs.iter().copied());
            let settings = ProviderSettings::read(&mut env);
            env.finish().map(|()| settings.map(|it| it.issuer)).map_err(|refusals| refusals.to_string())
        };
        let (issuer, id) = (("OIDC_ISSUER", "https://id.shop.example/"), ("OIDC_CLIENT_ID", "shop"));
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[issuer, id]).unwrap().as_deref(), Some("https://id.shop.example/"), "to the last character");
        assert!(read(&[issuer]).unwrap_err().contains("OIDC_CLIENT_ID"));
        assert!(read(&[id]).unwrap_err().contains("OIDC_ISSUER"));
        assert!(read(&[("OIDC_ISSUER", "id.shop.example"), id]).unwrap_err().contains("OIDC_ISSUER"));
        let production = ("JUMUN_ENV", "production");
        assert!(read(&[production, ("OIDC_ISSUER", "http://id.shop.example"), id]).unwrap_err().contains("https"));
    }
}
