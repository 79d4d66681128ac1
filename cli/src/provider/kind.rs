//! What a provider does, whatever its type.

use std::sync::Arc;

use countersign::http::{HeaderMap, HeaderName};
use countersign::{Secrets, SetupError, SigningOptions, Webhook};

use crate::verdict::{Judge, Terms, judge};

/// Verifies and signs as one provider.
pub(crate) trait Kind: Send + Sync {
    fn judge(&self, secrets: Secrets, terms: Terms) -> Result<Arc<dyn Judge>, SetupError>;

    /// Signs with the newest secret.
    fn signer(&self, secrets: Secrets) -> Result<Box<dyn Sign>, SetupError>;
}

impl<P: countersign::Provider + Clone> Kind for P {
    fn judge(&self, secrets: Secrets, terms: Terms) -> Result<Arc<dyn Judge>, SetupError> {
        judge(self.clone(), secrets, terms)
    }

    fn signer(&self, secrets: Secrets) -> Result<Box<dyn Sign>, SetupError> {
        Ok(Box::new(Webhook::for_provider(self.clone(), secrets)?))
    }
}

/// Makes the headers of deliveries.
pub(crate) trait Sign: Send + Sync {
    fn headers(&self, body: &[u8], options: &SigningOptions) -> HeaderMap;

    fn signature_header(&self) -> &HeaderName;
}

impl<P: countersign::Provider> Sign for Webhook<P> {
    fn headers(&self, body: &[u8], options: &SigningOptions) -> HeaderMap {
        self.signed_headers_with(body, options)
    }

    fn signature_header(&self) -> &HeaderName {
        Webhook::signature_header(self)
    }
}
