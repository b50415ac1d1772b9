//! Several owners of one service, who see each other's reports late.
