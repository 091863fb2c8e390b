//! WHIP and WHEP without media: sessions are made, patched and deleted.
