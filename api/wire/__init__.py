"""The form of requests and answers: paths, formats, bodies, links, pages."""
