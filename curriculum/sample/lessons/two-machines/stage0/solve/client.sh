cd
# The server's script runs at the same time.
for try in 1 2 3 4 5 6 7 8 9 10; do
  python3 fetch.py http://server:9000/ > page.txt && exit
  sleep 1
done
exit 1
