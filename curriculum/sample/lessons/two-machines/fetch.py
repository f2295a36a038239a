"""Ask for the page at an address and print it: python3 fetch.py http://HOST:PORT/"""

import sys
import urllib.error
import urllib.request

try:
    with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"The server answered {error.code}: {error.reason}")
except urllib.error.URLError as error:
    sys.exit(f"No answer: {error.reason}")
