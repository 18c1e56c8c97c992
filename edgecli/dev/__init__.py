"""`edgecli dev`: the server and the project's Worker, with a developer beside them."""
