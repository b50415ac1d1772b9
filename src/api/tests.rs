//! The server and the client against each other, over real sockets, with a view made by hand and
//! a node that is a function.

mod changes;
mod entities;
mod errors;
mod fixture;
mod logs;
mod tcp;
