"""One open WebSocket, of a server or a client: between a link and the user."""
