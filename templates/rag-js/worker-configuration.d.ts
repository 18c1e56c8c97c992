/* eslint-disable */
// Written by `edgecli types`; it writes this file anew. Types of the runtime: @cloudflare/workers-types.
declare namespace Cloudflare {
	interface Env {
		VECTORS: VectorizeIndex;
		AI: Ai;
		CHAT_MODEL: "@cf/meta/llama-3.1-8b-instruct";
		EMBEDDING_MODEL: "@cf/baai/bge-small-en-v1.5";
		TOP_K: 4;
	}
}
interface Env extends Cloudflare.Env {}
