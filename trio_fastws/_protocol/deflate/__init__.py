"""permessage-deflate (RFC 7692): what is agreed upon, and what a connection keeps."""
