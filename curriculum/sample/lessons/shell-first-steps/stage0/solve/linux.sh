cd
echo "I was here" > note.txt
cp /antidote/practice/welcome.txt .
