//! Dimensions.

ansatz::net! {
    /// The width of everything.
    pub dim Embed = 8;
    /// Four times that.
    pub dim Wide = 4 * Embed;
}
