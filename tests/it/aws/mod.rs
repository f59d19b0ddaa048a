//! Requests that are signed for AWS: by whom, with what, and what becomes of them when credentials rotate, expire or are
//! refused. Every signature is checked by botocore's code.

mod cost;
pub(crate) mod keys;
mod limits;
mod metadata;
mod refusals;
mod roles;
mod rotation;
mod scene;
mod seeds;
mod sources;
mod store;
mod sts;
pub(crate) mod verifier;
