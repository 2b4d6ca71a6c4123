//! Proofs, as a connection check asks for them: through the same budget, under the same rate, as everything else.

use super::client::Client;
use crate::api::Proof;
use crate::domain::error::{Error, Failure, Result, TargetReason};

impl Client {
    /// Asks for a proof: the ids that it shows, where it has a field.
    ///
    /// # Errors
    /// What is to be proven isn't there (78), the target can't be reached (69) or refuses the credentials (77).
    pub async fn prove(&self, proof: &Proof) -> Result<Vec<String>> {
        let engine = self.engine();
        let (target, what) = (self.target(), &proof.proves);
        match self.read(&engine.prove(proof), |answer| engine.proven(proof, answer)).await {
            Ok(Some(shown)) => Ok(shown),
            Ok(None) => Err(Failure::new(Error::Config, format!("target {target} has no {what}"))
                .help(format!("check targets.{target}: options, base_url"))),
            // Good credentials for something else look the same.
            Err(failure) if failure.error == Error::Target(TargetReason::Denied) => {
                let help = format!("check targets.{target}: options and auth");
                Err(Failure::new(Error::Target(TargetReason::Denied), format!("{}, asked for {what}", failure.message))
                    .help(help))
            }
            Err(failure) => Err(failure),
        }
    }
}
