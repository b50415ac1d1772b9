//! IP packets as bytes: checksums, headers, segmentation, coalescing, fragments, errors.
//! Everything here is pure.

pub(crate) mod checksum;
pub(crate) mod coalesce;
pub(crate) mod fragment;
pub(crate) mod header;
pub(crate) mod icmp;
pub(crate) mod offload;
pub(crate) mod segment;
#[cfg(test)]
pub(crate) mod tests;
