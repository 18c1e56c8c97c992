"""A shop's products, found by meaning.

GET    /                      how many products there are
POST   /products              products as lines of JSON: new ones are added, known ones replaced
GET    /products/ID           one product
DELETE /products/ID
GET    /search?q=...          the nearest products; also category=, max_price= and top_k=
GET    /products/ID/similar   what is like this one
"""

import json
from urllib.parse import parse_qs, unquote, urlsplit

from workers import Response, WorkerEntrypoint

MOST_PRODUCTS = 100  # of one request: Workers AI embeds up to 100 texts at once
LONGEST_QUERY = 1_000  # characters


class BadRequest(Exception):
    """What the caller did wrong."""


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            match (request.method, parts):
                case "GET", [""]:
                    info = await self.env.PRODUCTS.describe()
                    return Response.json({"products": info["vectorCount"], "dimensions": info["dimensions"]})
                case "POST", ["products"]:
                    return Response.json(await self.store(await request.text()))
                case "GET", ["products", id]:
                    return await self.show(id)
                case "DELETE", ["products", id]:
                    done = await self.env.PRODUCTS.deleteByIds([id])
                    return Response.json({"mutation": done["mutationId"]})
                case "GET", ["products", id, "similar"]:
                    return await self.similar(id)
                case "GET", ["search"]:
                    return Response.json(await self.search(query))
        except BadRequest as error:
            return Response.json({"error": str(error)}, status=400)
        return Response.json({"error": "There is nothing here."}, status=404)

    async def embed(self, texts):
        embedded = await self.env.AI.run(self.env.EMBEDDING_MODEL, {"text": texts})
        return embedded["data"]

    async def store(self, lines):
        products = read_products(lines)
        vectors = await self.embed([f"{each['title']}. {each['description']}" for each in products])
        done = await self.env.PRODUCTS.upsert(
            [
                {"id": product["id"], "values": values, "metadata": product}
                for product, values in zip(products, vectors)
            ]
        )
        return {"stored": len(products), "mutation": done["mutationId"]}

    async def show(self, id):
        found = await self.env.PRODUCTS.getByIds([id])
        if not found:
            return Response.json({"error": f"There is no product {id}."}, status=404)
        return Response.json(found[0]["metadata"])

    async def similar(self, id):
        found = await self.env.PRODUCTS.getByIds([id])
        if not found:
            return Response.json({"error": f"There is no product {id}."}, status=404)
        near = await self.env.PRODUCTS.query(found[0]["values"], {"topK": 4, "returnMetadata": "all"})
        others = [match for match in near["matches"] if match["id"] != id]
        return Response.json({"products": [with_score(match) for match in others]})

    async def search(self, query):
        question = query.get("q", "").strip()
        if not 0 < len(question) <= LONGEST_QUERY:
            raise BadRequest(f"?q= takes 1 to {LONGEST_QUERY} characters")
        options = {"topK": int(number(query, "top_k", 5, 1, 20)), "returnMetadata": "all"}
        conditions = {}
        if "category" in query:
            conditions["category"] = query["category"]
        if "max_price" in query:
            conditions["price"] = {"$lte": number(query, "max_price", 0, 0, 1_000_000)}
        if conditions:
            options["filter"] = conditions
        [vector] = await self.embed([question])
        found = await self.env.PRODUCTS.query(vector, options)
        return {"products": [with_score(match) for match in found["matches"]]}


def with_score(match):
    return {**match["metadata"], "score": round(match["score"], 4)}


def number(query, name, default, least, most):
    """Return a number of the query, or the default."""
    try:
        value = float(query.get(name, default))
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise BadRequest(f"?{name}= takes {least} to {most}")
    return value


def read_products(lines):
    """Return the products of a request's body."""
    products = []
    for count, line in enumerate(filter(str.strip, lines.splitlines()), start=1):
        if count > MOST_PRODUCTS:
            raise BadRequest(f"send up to {MOST_PRODUCTS} products at once")
        try:
            product = json.loads(line)
            texts = {key: product[key] for key in ("id", "title", "description", "category")}
            price = float(product["price"])
        except (ValueError, TypeError, KeyError) as error:
            raise BadRequest(f"line {count} is no product: {error!r}") from None
        if not all(isinstance(text, str) and text for text in texts.values()):
            raise BadRequest(f"line {count}: id, title, description and category are texts")
        products.append({**texts, "price": price})
    if not products:
        raise BadRequest("send products as lines of JSON")
    return products
