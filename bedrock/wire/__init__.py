"""The `wire` transport: Bedrock's protocol spoken on non-blocking sockets that the gevent loop watches.

signing      SigV4 and bearer tokens
tls          TLS as bytes in, bytes out
frames       event-stream frames out of any portions, both checksums verified
connection   one kept-alive connection: a request out, its response in by call-backs of the loop
pool         idle connections of one endpoint
transport    invocations in, records out
"""
