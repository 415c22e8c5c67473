-- Configuration of promptward-gate: there is none. What it guards is where it is configured.

local typedefs = require "kong.db.schema.typedefs"

return {
  name = "promptward-gate",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
        type = "record",
        fields = {},
    } },
  },
}
