"""What tests of Promptward and of its adapters share: fakes, real servers, conformance vectors.

Public, so that an adapter outside this repository can be held to the same suites. Only this
package and `cli` may do I/O (`.importlinter`).
"""
