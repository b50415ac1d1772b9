//! Placement, by example and by property.
