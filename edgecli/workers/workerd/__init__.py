"""JavaScript and TypeScript Workers: the `workerd` of Cloudflare, configured and watched."""
