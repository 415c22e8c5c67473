"""Words before a number that say what kind of number it is, shared by several recognizers."""

from __future__ import annotations

# Numbers of things, not of people: what follows one of these is not a phone, card or SSN.
REFERENCES = (
    "order", "invoice", "ticket", "case", "tracking", "shipment", "parcel", "isbn", "issn", "ean",
    "upc", "sku", "part no", "part number", "model no", "serial", "version", "build", "commit",
    "uuid", "guid", "sha", "md5", "hash", "timestamp", "ms=", "epoch", "trace", "span",
    "request id",
    "meeting id", "transaction id", "reference", "ref.", "ref no", "receipt", "booking", "revenue",
    "score", "lat ", "lon ", "latitude", "longitude", "coordinates", "doi", "arxiv", "issue #",
    "bestellung", "rechnung", "auftrag", "commande", "facture", "pedido", "factura", "ordine",
    "fattura", "zamówien", "faktur", "заказ", "счет", "sipariş", "订单", "発注", "注文", "주문",
)  # fmt: skip
