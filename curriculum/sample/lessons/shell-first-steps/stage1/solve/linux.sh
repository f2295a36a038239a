cd /antidote/practice
tail -n +2 harbour.csv | cut -d, -f2 | sort | uniq -c | sort -rn | head -n 1 | tr -d ' 0-9' \
  > ~/busiest.txt
grep -c ",$(cat ~/busiest.txt)," harbour.csv > ~/calls.txt
tail -n +2 harbour.csv | sort -t, -k4 -rn | head -n 3 > ~/heaviest.txt
