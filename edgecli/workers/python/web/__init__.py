"""What a Python Worker handles: requests, responses, headers, bodies and forms, as Cloudflare's `workers` has them."""
