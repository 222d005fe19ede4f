//! How does a general embedder learn what support questions mean? By differences to its biases and norms, shipped in
//! `models/adapter/`; every other weight stays as it was fetched.
//!
//! Sixty thousand numbers beside 118 million: they fit into a text file, cost nothing at run time and cannot carry much
//! more than a change of emphasis. `models/adapter/README.md` says what they were fitted on and what they changed.
//! Source: BitFit, <https://arxiv.org/abs/2106.10199>.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The adapters in the binary.
const SHIPPED: [&str; 1] = [include_str!("../../models/adapter/e5-small.json")];

/// Differences to some tensors of one model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adapter {
    /// The fingerprint of the weights that it was fitted with: on others it would be noise.
    fingerprint: String,
    tensors: BTreeMap<String, Difference>,
    #[serde(skip)]
    digest: String,
}

/// What is added to a tensor: `step * values`, in the tensor's order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    step: f32,
    values: Vec<i8>,
}

impl Adapter {
    /// The shipped adapter for these weights, if there is one.
    pub(super) fn shipped(fingerprint: &str) -> Option<Self> {
        SHIPPED.iter().map(|json| Self::read(json)).find(|adapter| adapter.fingerprint == fingerprint)
    }

    fn read(json: &str) -> Self {
        let adapter: Adapter = serde_json::from_str(json).expect("models/adapter/*.json parse; this is a bug");
        Adapter { digest: hex::encode(&Sha256::digest(json)[..4]), ..adapter }
    }

    /// Names the weights and the differences: with them vectors are other vectors.
    pub(super) fn fingerprint(&self) -> String {
        format!("{}-{}", self.fingerprint, self.digest)
    }

    /// Adds the difference to a tensor's values; those that it does not name stay.
    ///
    /// # Errors
    /// Where it has another length than the tensor.
    pub(super) fn add_to(&self, name: &str, values: &mut [f32]) -> Result<(), String> {
        let Some(difference) = self.tensors.get(name) else { return Ok(()) };
        if difference.values.len() != values.len() {
            return Err(format!("`{name}` has {} values, its adapter {}", values.len(), difference.values.len()));
        }
        values.iter_mut().zip(&difference.values).for_each(|(x, steps)| *x += difference.step * f32::from(*steps));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_weights_that_it_was_fitted_with_get_it() {
        for json in SHIPPED {
            let adapter = Adapter::read(json);
            let found = Adapter::shipped(&adapter.fingerprint).unwrap();
            assert!(
                found.fingerprint().starts_with(&adapter.fingerprint) && found.fingerprint() != adapter.fingerprint
            );
        }
        assert!(Adapter::shipped("another-model").is_none());
    }

    #[test]
    fn differences_are_added_in_steps_and_never_to_another_shape() {
        let json = r#"{"fingerprint": "f", "tensors": {"a": {"step": 0.5, "values": [1, -2, 0]}}}"#;
        let adapter = Adapter::read(json);
        let mut values = [1.0, 1.0, 1.0];
        adapter.add_to("a", &mut values).unwrap();
        assert_eq!(values, [1.5, 0.0, 1.0]);
        adapter.add_to("b", &mut values).unwrap();
        assert_eq!(values, [1.5, 0.0, 1.0]);
        assert!(adapter.add_to("a", &mut values[..2]).unwrap_err().contains("2 values"));
    }
}
