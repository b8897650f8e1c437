//! Dimensions.

ansatz::net! {
    /// The width of everything.
    pub dim Embed = 8;
    /// Four times that.
    pub dim Wide = 4 * Embed;

    /// Nobody else can name it.
    dim Half = 3;
    /// Two of those.
    pub dim Both = 2 * Half;
    /// Another name for one.
    pub dim Single = Half;
}
