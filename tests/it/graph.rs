//! The Graph client against the Graph emulator, over real sockets: that both understand Microsoft's words
//! the same way without having agreed on them.

mod calls;
pub(crate) mod credentials;
mod setting;
mod tenant_pass;
mod trouble;
